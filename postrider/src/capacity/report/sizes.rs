//! The same plan for other sizes and other habits, a row each.

use super::super::figures::number;
use super::super::{Coefficients, Demand, Plan, Settings};
use super::block::Block;
use super::sections::short;

pub(super) fn blocks(demand: &Demand, coefficients: &Coefficients, settings: &Settings) -> Vec<Block> {
    let row = |name: String, demand: &Demand| {
        let mut cells = vec![name];
        cells.extend(short(&Plan::of(demand, coefficients, settings)));
        cells
    };
    let sizes = [(1_000.0, 100_000.0), (30_000.0, 1_000_000.0), (100_000.0, 10_000_000.0), (1e6, 1e8)];
    let by_size = sizes.map(|(rate, clients)| {
        let name = format!("{} a second, {} clients", number(rate), number(clients));
        row(name, &Demand { rate, clients, ..demand.clone() })
    });
    let by_habit = habits(demand).map(|(name, demand)| row(name.to_owned(), &demand));
    let head = |first| {
        let rest =
            ["machines", "processes", "cores", "memory", "Kafka's disks", "partitions", "installations"];
        let mut head = vec![first];
        head.extend(rest);
        head.push("machines by stage (bottleneck)");
        head
    };
    vec![
        Block::Heading("Other sizes".to_owned()),
        Block::Table(head("size"), by_size.into()),
        Block::Heading("Other habits".to_owned()),
        Block::Text("The plan above, with one thing changed.".to_owned()),
        Block::Table(head("changed"), by_habit.into()),
    ]
}

fn habits(demand: &Demand) -> [(&'static str, Demand); 8] {
    let with = |change: fn(&mut Demand)| {
        let mut changed = demand.clone();
        change(&mut changed);
        changed
    };
    [
        ("nothing", demand.clone()),
        ("retention 72 h", with(|demand| demand.retention_hours = 72.0)),
        ("all in batches", with(|demand| demand.batch_share = 1.0)),
        ("all alone", with(|demand| demand.batch_share = 0.0)),
        ("everybody connected", with(|demand| demand.offline = 0.0)),
        ("connections of 5 minutes", with(|demand| demand.lifetime = 300.0)),
        ("with TLS", with(|demand| demand.tls = true)),
        ("500,000 sessions a process", with(|demand| demand.machine.sessions = 500_000.0)),
    ]
}
