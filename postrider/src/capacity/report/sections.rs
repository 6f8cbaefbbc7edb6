//! The parts of the report.

use super::super::figures::{bits, bytes, duration, number};
use super::super::limits::Weight;
use super::super::stage::{Candidate, KAFKA, Stage, named};
use super::super::{Coefficients, Demand, Plan};
use super::block::Block;

/// Everything about one plan.
pub(super) fn plan(plan: &Plan) -> Vec<Block> {
    let mut blocks = asked(&plan.demand);
    blocks.extend(answer(plan));
    blocks.extend(bounds(&plan.stages));
    blocks.extend(storms(plan));
    blocks.extend(limits(plan));
    blocks
}

fn percent(share: f64) -> String {
    format!("{} %", number(share * 100.0))
}

fn asked(demand: &Demand) -> Vec<Block> {
    let machine = &demand.machine;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = vec![
        row(
            "notifications",
            format!("{} a second, {} times that at the peak", number(demand.rate), number(demand.peak)),
        ),
        row("content", format!("{} bytes", number(demand.payload))),
        row(
            "producers",
            format!("{} in batches of {}, the rest alone", percent(demand.batch_share), number(demand.batch)),
        ),
        row(
            "connected clients",
            format!("{}, each for {} on average", number(demand.clients), duration(demand.lifetime)),
        ),
        row(
            "for recipients who are away",
            format!("{}, for {} h", percent(demand.offline), number(demand.away_hours)),
        ),
        row("acknowledged at once", number(demand.ack_batch)),
        row(
            "Kafka",
            format!("{} copies, kept for {} h", number(demand.replication), number(demand.retention_hours)),
        ),
        row(
            "tasks",
            if demand.tasks > 0.0 { format!("{} a second", number(demand.tasks)) } else { "none".to_owned() },
        ),
        row("TLS", if demand.tls { "on machines before the distributors" } else { "not counted" }.to_owned()),
        row(
            "a machine",
            format!(
                "{} cores, {} GiB, {} Gbit/s; with a disk: {} TiB, {} MiB/s, {} IOPS",
                number(machine.cores),
                number(machine.memory_gib),
                number(machine.nic_gbit),
                number(machine.disk_tib),
                number(machine.disk_mib),
                number(machine.iops),
            ),
        ),
        row(
            "a process of ours",
            format!(
                "{} cores, {} descriptors, {} sessions",
                number(machine.process_cores),
                number(machine.descriptors),
                number(machine.sessions),
            ),
        ),
        row("kept free at the peak", percent(demand.spare)),
    ];
    vec![Block::Heading("Asked for".to_owned()), Block::Table(vec!["what", "how much"], rows)]
}

fn answer(plan: &Plan) -> Vec<Block> {
    let row = |stage: &Stage| {
        let Stage { name, load, machines, processes, process_cores, process_memory_bytes, .. } = stage;
        vec![
            (*name).to_owned(),
            number(*machines as f64),
            number(*processes as f64),
            format!("{} cores, {}", number(*process_cores), bytes(*process_memory_bytes)),
            number(load.cores),
            bytes(load.memory_bytes),
            format!("{} / {}", bits(load.received_bytes), bits(load.sent_bytes)),
            if load.disk_bytes > 0.0 { bytes(load.disk_bytes) } else { "–".to_owned() },
            format!("**{}**", stage.bottleneck()),
        ]
    };
    let totals = &plan.totals;
    let partitions = plan.traffic.partitions;
    let mut sum = format!(
        "In all {} machines, each for one stage, {} processes, {} cores busy at the peak, {} of memory, {} on disks; {} partitions of each topic.",
        number(totals.machines as f64),
        number(totals.processes as f64),
        number(totals.cores),
        bytes(totals.memory_bytes),
        bytes(totals.disk_bytes),
        number(partitions),
    );
    if plan.installations > 1 {
        sum.push_str(&format!(
            " **It is no single installation today**: {} of them, for an installation has one Redis and one Postgres. Sized here as if \
             it were one; what every process does with every other, streams and news of routes, shrinks when it is divided.",
            number(plan.installations as f64),
        ));
    }
    let head = vec![
        "stage",
        "machines",
        "processes",
        "each uses",
        "cores",
        "memory",
        "network in / out",
        "disk",
        "bottleneck",
    ];
    vec![
        Block::Heading("Needed".to_owned()),
        Block::Text(sum),
        Block::Table(head, plan.stages.iter().map(row).collect()),
    ]
}

/// Where the figures of a stage come from, and what each resource asks for.
fn bounds(stages: &[Stage]) -> Vec<Block> {
    let asks = |candidate: &Candidate, largest: bool| {
        let emphasis = if largest { "**" } else { "" };
        format!("{emphasis}{} {}{emphasis}", candidate.of, number(candidate.count()))
    };
    let all = |candidates: &[Candidate], bottleneck: &str| {
        let asked: Vec<String> =
            candidates.iter().map(|candidate| asks(candidate, candidate.of == bottleneck)).collect();
        if asked.is_empty() { "–".to_owned() } else { asked.join(", ") }
    };
    let rows = stages.iter().map(|stage| {
        vec![
            stage.name.to_owned(),
            all(&stage.by_resource, stage.bottleneck()),
            all(&stage.by_limit, stage.process_bottleneck()),
        ]
    });
    let notes = stages
        .iter()
        .flat_map(|stage| stage.notes.iter().map(move |note| format!("{}: {note}.", stage.name)))
        .collect();
    vec![
        Block::Heading("What bounds it".to_owned()),
        Block::Text(
            "How many machines each resource asks for by itself, and how many processes each limit of a process does, with what is \
             to stay free taken off. The largest decides."
                .to_owned(),
        ),
        Block::Table(vec!["stage", "machines, by resource", "processes, by limit"], rows.collect()),
        Block::List(notes),
    ]
}

fn storms(plan: &Plan) -> Vec<Block> {
    let rows = plan.storms.iter().map(|storm| {
        let slowest = storm.slowest();
        let parts = storm.parts.iter().map(|part| {
            let mark = if slowest == Some(*part) { "**" } else { "" };
            format!("{mark}{}: {}{mark}", part.name, duration(part.seconds))
        });
        vec![storm.name.to_owned(), storm.what.clone(), parts.collect::<Vec<_>>().join("; ")]
    });
    vec![
        Block::Heading("Storms".to_owned()),
        Block::Text(
            "With what is free at the peak, the part that is kept free included. The slowest says how long it takes.".to_owned(),
        ),
        Block::Table(vec!["when", "then", "each part takes"], rows.collect()),
    ]
}

fn limits(plan: &Plan) -> Vec<Block> {
    let of = |weight| {
        let chosen = plan.limits.iter().filter(move |limit| limit.weight == weight);
        chosen.map(|limit| format!("**{}.** {}", limit.name, limit.what)).collect::<Vec<_>>()
    };
    let headed = [
        ("What stands in its way today", of(Weight::Breaks)),
        ("What to decide first", of(Weight::Decide)),
        ("What cannot be concluded", of(Weight::Doubts)),
    ];
    let told = headed.into_iter().filter(|(_, limits)| !limits.is_empty());
    told.flat_map(|(heading, limits)| [Block::Heading(heading.to_owned()), Block::List(limits)]).collect()
}

/// What it was computed from.
pub(super) fn coefficients(coefficients: &Coefficients) -> Vec<Block> {
    let code = |text: &str| if text.is_empty() { "–".to_owned() } else { format!("`{text}`") };
    let rows = coefficients.all().into_iter().map(|(name, coefficient)| {
        vec![
            format!("`{name}`"),
            format!("{} {}", trimmed(coefficient.value), coefficient.unit.trim_matches('1')),
            coefficient.source.as_str().to_owned(),
            coefficient.what.clone(),
            code(&coefficient.command),
            code(&coefficient.commit),
        ]
    });
    vec![
        Block::Heading("Computed from".to_owned()),
        Block::Text(
            "`postrider/src/capacity/coefficients.toml`. *Measured*: on Postrider, by the command. *Floor*: on the engine or library \
             alone; ours is not below it. *Published*: by those who make the engine. *Counted*: follows from the code. *Assumed*: by \
             nobody."
                .to_owned(),
        ),
        Block::Table(vec!["coefficient", "value", "source", "what", "command", "commit"], rows.collect()),
    ]
}

/// As it stands in the file.
fn trimmed(value: f64) -> String {
    if value.fract() == 0.0 { number(value) } else { format!("{value}") }
}

/// What a row of another size shows.
pub(super) fn short(plan: &Plan) -> Vec<String> {
    let disk = named(&plan.stages, KAFKA).map_or(0.0, |kafka| kafka.load.disk_bytes);
    let per_stage = plan
        .stages
        .iter()
        .map(|stage| format!("{} {} ({})", stage.name, number(stage.machines as f64), stage.bottleneck()));
    vec![
        number(plan.totals.machines as f64),
        number(plan.totals.processes as f64),
        number(plan.totals.cores),
        bytes(plan.totals.memory_bytes),
        bytes(disk),
        number(plan.traffic.partitions),
        number(plan.installations as f64),
        per_stage.collect::<Vec<_>>().join(", "),
    ]
}
