//! `postrider bench`: measures a pipeline on this machine. Load comes from processes of its own, on schedules that wait for
//! nobody; every notification is accounted for; what the machine gives without a pipeline is measured beside.
//!
//! Reading order: [`run`] and [`idle`], what is measured, with [`load`], a load under way; [`control`], what workers are
//! told; [`worker`]; [`schedule`] and [`ledger`], the rules; [`floors`]; [`result`], [`report`] and [`compare`].

mod clock;
mod compare;
mod control;
mod fleet;
mod floors;
pub mod histogram;
mod idle;
pub mod ledger;
mod load;
mod metrics;
pub mod os;
mod report;
pub mod result;
mod run;
mod schedule;
mod start;
mod target;
mod token;
mod wire;
mod worker;

use std::path::PathBuf;

use clap::Subcommand;

pub use compare::Compare;
pub use floors::Floors;
pub use idle::Idle;
pub use run::Run;

/// What to measure, or to do with what was measured.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Send a load and hold every notification against the ledger
    Run(Box<Run>),
    /// Hold idle connections: memory and processor time of each
    Idle(Box<Idle>),
    /// What this machine gives without a pipeline
    Floors(Box<Floors>),
    /// A report with plots of one or more results, HTML
    Report {
        /// Results, JSON
        #[arg(required = true)]
        results: Vec<PathBuf>,
        /// The report
        #[arg(long, short, value_name = "FILE", default_value = "bench.html")]
        out: PathBuf,
    },
    /// Two results beside each other
    Compare(Compare),
    /// A worker of a measurement, which starts it
    #[command(hide = true)]
    Worker,
}

/// Does it. Answers with the lines that are its result.
///
/// # Errors
/// When something could not be measured, or what was measured is not sound.
pub async fn main(command: Command) -> anyhow::Result<Vec<String>> {
    match command {
        Command::Run(run) => finish(&Box::pin(run.run()).await?),
        Command::Idle(idle) => finish(&Box::pin(idle.run()).await?),
        Command::Floors(floors) => finish(&Box::pin(floors.run()).await?),
        Command::Report { results, out } => {
            let read: Vec<_> =
                results.iter().map(|path| result::Outcome::read(path)).collect::<anyhow::Result<_>>()?;
            report::write(&read, &out)?;
            Ok(vec![out.display().to_string()])
        }
        Command::Compare(compare) => compare.run(),
        Command::Worker => {
            tokio::task::block_in_place(worker::run)?;
            Ok(Vec::new())
        }
    }
}

/// The figures, one a line; fails when the ledger does not balance.
fn finish(outcome: &result::Outcome) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for (name, figure) in &outcome.figures {
        lines.push(format!("{name:<36} {:>14} {}", compare::short(figure.value), figure.unit));
    }
    let faults = outcome.ledger.as_ref().map(|ledger| (ledger.sound(), ledger.faults()));
    if let Some((false, faults)) = faults {
        let problems: String = outcome.problems.iter().map(|problem| format!("\n  {problem}")).collect();
        anyhow::bail!("{}\nthe ledger does not balance: {faults}{problems}", lines.join("\n"));
    }
    Ok(lines)
}
