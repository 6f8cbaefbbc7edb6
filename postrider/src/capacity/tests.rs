//! The arithmetic against examples computed by hand, its direction against any demand, and the committed page against the
//! output.

use proptest::prelude::*;

use super::stage::{DIRECTOR, DISTRIBUTOR, KAFKA, POSTGRES, RECEIVER, REDIS, Stage, named};
use super::*;

fn committed() -> Coefficients {
    Coefficients::committed().unwrap()
}

/// Coefficients of round numbers, for sums in the head.
fn round() -> Coefficients {
    let names: Vec<_> = committed().all().into_iter().map(|(name, one)| (name, one.unit.clone())).collect();
    let value = |name: &str| match name {
        "receiver_single" => 100.0,
        "receiver_batched" => 1.0,
        "record_overhead" | "record_stored" => 100.0,
        "kafka_single" | "kafka_batched" => 10.0,
        "kafka_copy_share" => 0.5,
        "kafka_partition" => 1e6,
        "kafka_broker_replicas" => 4000.0,
        "director" => 20.0,
        "redis_overhead" | "redis_read" | "redis_news_read" => 1.0,
        "redis_write" => 2.0,
        "redis_client" => 32.0,
        "distributor_delivery" => 10.0,
        "distributor_acknowledgement" => 4.0,
        "connection_handshake" => 100.0,
        "connection_memory" | "connection_kernel" => 1000.0,
        "postgres_rows" | "postgres_deletes" => 50_000.0,
        "postgres_drains" => 20_000.0,
        "postgres_row" => 300.0,
        "outcome" => 20.0,
        _ => 0.0,
    };
    let file = names.iter().map(|(name, unit)| {
        let value = value(name);
        format!(
            "[{name}]\nvalue = {value:?}\nunit = \"{unit}\"\nsource = \"assumed\"\nwhat = \"for tests\"\n"
        )
    });
    Coefficients::with(&file.collect::<String>()).unwrap()
}

/// A hundred thousand a second to a million, without peak or spare.
fn demand() -> Demand {
    let mut demand = Demand {
        rate: 100_000.0,
        clients: 1e6,
        peak: 1.0,
        payload: 100.0,
        batch_share: 0.0,
        offline: 0.5,
        away_hours: 1.0,
        lifetime: 100.0,
        ack_batch: 2.0,
        retention_hours: 1.0,
        replication: 3.0,
        spare: 0.0,
        ..Demand::default()
    };
    demand.machine.sessions = 100_000.0;
    demand
}

fn plan(demand: &Demand) -> Plan {
    Plan::of(demand, &round(), &Settings::defaults())
}

fn stage<'a>(plan: &'a Plan, name: &str) -> &'a Stage {
    named(&plan.stages, name).unwrap()
}

#[track_caller]
fn same(value: f64, expected: f64) {
    assert!((value - expected).abs() <= expected.abs() * 1e-9, "{value} and not {expected}");
}

#[test]
fn rates_follow_from_the_demand() {
    let traffic = plan(&demand()).traffic;
    same(traffic.parked, 50_000.0);
    same(traffic.connects, 10_000.0);
    same(traffic.acknowledgements, 50_000.0);
    same(traffic.recipients, 2e6);
    same(traffic.stored_rows, 50_000.0 * 3600.0);
    // 100,000/s at 20 µs are 2 cores, at half a core for each worker 4; 20 MB/s at 1 MB/s for each are 20; in dozens 24.
    same(traffic.partitions, 24.0);
}

#[test]
fn a_receiver_of_two_cores_is_needed_for_each_twenty_thousand_alone() {
    let plan = plan(&demand());
    let receiver = stage(&plan, RECEIVER);
    same(receiver.load.cores, 10.0);
    assert_eq!((receiver.processes, receiver.machines), (5, 2));
    assert_eq!(receiver.process_bottleneck(), "cores of a process");
}

#[test]
fn batches_divide_what_a_request_costs_once() {
    // Of 100 µs alone and 1 among a hundred, 100 are for the request and none for the item: a batch of 50 has 2 for each.
    let batches = Demand { batch_share: 1.0, batch: 50.0, ..demand() };
    same(stage(&plan(&batches), RECEIVER).load.cores, 0.2);
}

#[test]
fn kafka_appends_copies_and_keeps() {
    let plan = plan(&demand());
    let kafka = stage(&plan, KAFKA);
    // 150,000 records at 10 µs, and half of that for each of two copies.
    same(kafka.load.cores, 3.0);
    // 150,000 records of 200 bytes and 100,000 outcomes of 20, for an hour, three times.
    same(kafka.load.disk_bytes, (150_000.0 * 200.0 + 2e6) * 3600.0 * 3.0);
    // Once to each of two copies, 100,000 to directors, 50,000 three times, and the outcomes.
    same(kafka.load.sent_bytes, 2.0 * 32e6 + 20e6 + 30e6 + 2e6);
}

#[test]
fn redis_does_what_lookups_sweeps_connections_and_parking_ask() {
    let plan = plan(&demand());
    // 100,000 a second to 2,000,000 who are remembered for 30 s: one and a half times in that time, so three in five.
    same(plan.traffic.lookups, 40_000.0);
    same(plan.traffic.remembered, 1.2e6);
    let swept = 1e6 / 30.0;
    let reads = 40_000.0 + swept + 10_000.0 + 50_000.0;
    let writes = 20_000.0 + 50_000.0 + 10_000.0;
    // One process has 1 of the 2 cores that directors need; each hears of every connection.
    assert_eq!(stage(&plan, DIRECTOR).processes, 2);
    same(stage(&plan, REDIS).load.cores, (reads + 2.0 * writes + 2.0 * 10_000.0) / 1e6);
    same(stage(&plan, REDIS).load.memory_bytes, 64e6);
}

#[test]
fn nothing_is_remembered_where_the_news_are_too_many_to_be_read() {
    // 50,000 connections a second are a thousand in the 20 ms between two readings.
    let restless = Demand { lifetime: 20.0, ..demand() };
    let plan = plan(&restless);
    same(plan.traffic.lookups, 100_000.0);
    assert!(
        plan.limits
            .iter()
            .any(|limit| limit.weight == limits::Weight::Breaks && limit.name.contains("remember"))
    );
}

#[test]
fn a_distributor_delivers_acknowledges_and_shakes_hands() {
    let plan = plan(&demand());
    let distributor = stage(&plan, DISTRIBUTOR);
    // 50,000 live at 10 µs, 50,000 acknowledgements at 4, 10,000 handshakes at 100.
    same(distributor.load.cores, 0.5 + 0.2 + 1.0);
    same(distributor.load.memory_bytes, 2e9);
    assert_eq!((distributor.processes, distributor.process_bottleneck()), (10, "sessions"));
}

#[test]
fn postgres_stores_deletes_and_drains() {
    let plan = plan(&demand());
    let postgres = stage(&plan, POSTGRES);
    // 50,000 rows stored and deleted at 50,000 to the core, 10,000 clients drained at 20,000.
    same(postgres.load.cores, 2.5);
    // 24 partitions, a batch each 20 ms.
    same(postgres.load.syncs, 1200.0);
}

#[test]
fn what_stays_free_is_not_planned_with() {
    let spared = Demand { spare: 0.5, ..demand() };
    assert_eq!(stage(&plan(&spared), DISTRIBUTOR).processes, 20);
    assert_eq!(stage(&plan(&spared), RECEIVER).processes, 10);
}

#[test]
fn a_lost_node_takes_as_long_as_its_clients_wait() {
    let plan = plan(&demand());
    let storm = plan.storms.iter().find(|storm| storm.name == "a distributor is lost").unwrap();
    // 100,000 clients, 9 nodes at 2,000 a second.
    let accepted = storm.parts.iter().find(|part| part.name.ends_with("accepts_per_second")).unwrap();
    same(accepted.seconds, 100_000.0 / 18_000.0);
    assert_eq!(storm.slowest(), Some(*accepted));
}

#[test]
fn postgres_away_leaves_ten_minutes_of_parked_records() {
    let plan = plan(&demand());
    let storm = plan.storms.iter().find(|storm| storm.name.starts_with("Postgres")).unwrap();
    let allowed = storm.parts.iter().find(|part| part.name == "director.archiver.rate").unwrap();
    // 30,000,000 records, 24 partitions at 20,000 a second but for the 50,000 that come meanwhile.
    same(allowed.seconds, 30e6 / 430_000.0);
}

#[test]
fn one_registry_and_one_store_are_an_installation() {
    assert_eq!(plan(&demand()).installations, 1);
    // Nine times the reads and writes above, 2.6 cores of Redis, which is one thread.
    let large = Demand { rate: 900_000.0, clients: 9e6, ..demand() };
    assert!(plan(&large).installations >= 3);
    assert!(
        plan(&large)
            .limits
            .iter()
            .any(|limit| limit.name == "One Redis" && limit.weight == limits::Weight::Breaks)
    );
}

#[test]
fn every_mistake_names_its_flag_and_limits() {
    let wrong = Demand { rate: 0.0, offline: 1.5, replication: 2.5, payload: f64::NAN, ..Demand::default() };
    let mistakes = wrong.mistakes();
    assert_eq!(
        mistakes,
        [
            "--rate must be from 1 to 1000000000, not 0",
            "--payload must be from 1 to 16777216, not NaN",
            "--offline must be from 0 to 0.99, not 1.5",
            "--replication must be a whole number, not 2.5",
        ]
    );
    assert!(Demand::default().mistakes().is_empty());
}

#[test]
fn a_file_replaces_what_it_names_and_is_checked() {
    let one = |value, unit| {
        format!("[director]\nvalue = {value}\nunit = \"{unit}\"\nsource = \"measured\"\nwhat = \"tonight\"\n")
    };
    let read = Coefficients::with(&one("4.5", "us")).unwrap();
    same(read.director.value, 4.5);
    same(read.receiver_single.value, committed().receiver_single.value);
    for (file, told) in [
        (one("4.5", "ms"), "director: unit must be \"us\", not \"ms\""),
        (one("-1.0", "us"), "director: value must be a number from 0 on"),
        ("[direktor]\nvalue = 1.0".to_owned(), "direktor"),
        ("director = ".to_owned(), "is not TOML"),
        (one("0.0", "1/s").replace("director", "postgres_rows"), "above 0 for a divisor"),
    ] {
        let error = Coefficients::with(&file).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn what_is_measured_says_by_which_command_on_which_commit() {
    for (name, coefficient) in committed().all() {
        let stated = !coefficient.command.is_empty() && !coefficient.commit.is_empty();
        assert!(stated || coefficient.source != coefficients::Source::Measured, "{name}");
    }
}

#[test]
fn the_page_is_what_the_command_prints() {
    let (coefficients, settings) = (committed(), Settings::defaults());
    let printed = markdown(&Plan::of(&Demand::default(), &coefficients, &settings), &coefficients, &settings);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CAPACITY.md")).unwrap();
    assert!(
        page.trim_end() == printed.trim_end(),
        "docs/CAPACITY.md is out of date: cargo run -- capacity --markdown > docs/CAPACITY.md"
    );
}

fn any_demand() -> impl Strategy<Value = Demand> {
    let sizes = (1.0..2e6, 1.0..2e8, 1.0..5.0, 1.0..10_000.0);
    let habits = (0.0..=1.0, 1.0..1000.0, 0.0..0.9, 1.0..100_000.0, 1.0..64.0);
    let rest = (1.0..700.0, 1_u32..5, 0.0..0.8, any::<bool>(), 0.0..1000.0);
    (sizes, habits, rest).prop_map(|(sizes, habits, rest)| Demand {
        rate: sizes.0,
        clients: sizes.1,
        peak: sizes.2,
        payload: sizes.3,
        batch_share: habits.0,
        batch: habits.1,
        offline: habits.2,
        lifetime: habits.3,
        ack_batch: habits.4,
        retention_hours: rest.0,
        replication: f64::from(rest.1),
        spare: rest.2,
        tls: rest.3,
        tasks: rest.4,
        ..Demand::default()
    })
}

/// Whether the second plan has nowhere fewer.
fn needs_no_fewer(less: &Plan, more: &Plan) -> Result<(), TestCaseError> {
    for stage in &less.stages {
        let Some(other) = named(&more.stages, stage.name) else { continue };
        prop_assert!(other.load.cores >= stage.load.cores * (1.0 - 1e-9), "cores: {stage:?} {other:?}");
        prop_assert!(other.machines >= stage.machines, "machines: {stage:?} {other:?}");
        prop_assert!(other.processes >= stage.processes, "processes: {stage:?} {other:?}");
    }
    prop_assert!(more.installations >= less.installations);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn more_of_anything_never_needs_fewer(demand in any_demand(), times in 1.0..20.0_f64) {
        let (coefficients, settings) = (committed(), Settings::defaults());
        let of = |demand: &Demand| Plan::of(demand, &coefficients, &settings);
        let base = of(&demand);
        let changes = [
            Demand { rate: demand.rate * times, ..demand.clone() },
            Demand { clients: demand.clients * times, ..demand.clone() },
            Demand { peak: demand.peak * times, ..demand.clone() },
            Demand { payload: demand.payload * times, ..demand.clone() },
            Demand { tasks: demand.tasks * times, ..demand.clone() },
            Demand { retention_hours: demand.retention_hours * times, ..demand.clone() },
            Demand { away_hours: demand.away_hours * times, ..demand.clone() },
            Demand { replication: demand.replication + 1.0, ..demand.clone() },
            Demand { lifetime: (demand.lifetime / times).max(1.0), ..demand.clone() },
            Demand { ack_batch: (demand.ack_batch / times).max(1.0), ..demand.clone() },
            Demand { spare: (demand.spare + 0.1).min(0.9), ..demand.clone() },
        ];
        for change in &changes {
            needs_no_fewer(&base, &of(change))?;
        }
    }

    #[test]
    fn every_plan_is_finite_and_bounded_by_its_bottleneck(demand in any_demand()) {
        let plan = Plan::of(&demand, &committed(), &Settings::defaults());
        for stage in &plan.stages {
            prop_assert!(stage.load.cores.is_finite() && stage.machines >= 1 && stage.processes >= stage.machines);
            for candidate in &stage.by_resource {
                prop_assert!(candidate.count() <= stage.machines as f64, "{candidate:?} {stage:?}");
            }
            for candidate in &stage.by_limit {
                prop_assert!(candidate.count() <= stage.processes as f64, "{candidate:?} {stage:?}");
            }
        }
        prop_assert!(named(&plan.stages, DIRECTOR).is_some());
    }
}
