//! `bench floors`: what this machine gives without a pipeline, on the same work: a frame written to a socket, a POST that
//! is answered at once, records through Kafka, rows into and out of PostgreSQL. What the sandbox costs beside wasmtime is
//! measured by `just bench-sandbox`.

mod answered;
mod kafka;
mod postgres;
mod written;

use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::time::{ClockId, clock_gettime};

use crate::result::Outcome;
use crate::run::{Written, duration, interruptible};
use crate::start::Engines;

/// Which floors, for how long.
#[derive(Args, Clone, Debug)]
pub struct Floors {
    #[command(flatten)]
    written: Written,
    #[command(flatten)]
    engines: Engines,
    /// Only these; may be repeated
    #[arg(long, value_delimiter = ',')]
    only: Vec<Floor>,
    #[command(flatten)]
    amounts: Amounts,
}

/// How much of each.
#[derive(Args, Clone, Debug)]
pub(crate) struct Amounts {
    /// How long each floor is measured
    #[arg(long, default_value = "5s", value_parser = duration)]
    each: Duration,
    /// At how many connections frames are written
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    sockets: Vec<usize>,
    /// Records per second at which the way through Kafka is timed
    #[arg(long, default_value_t = 5000.0)]
    kafka_rate: f64,
}

impl Default for Amounts {
    fn default() -> Self {
        Self { each: Duration::from_secs(5), sockets: vec![1000, 10_000], kafka_rate: 5000.0 }
    }
}

/// A floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Floor {
    /// 128-byte frames, one `write` each
    Write,
    /// A POST that is answered without doing anything
    Http,
    /// Records of 256 bytes through Kafka
    Kafka,
    /// COPY into PostgreSQL, and an indexed SELECT
    Postgres,
}

impl Floors {
    /// Measures; what was found, which is written already.
    ///
    /// # Errors
    /// When something could not be measured.
    pub async fn run(&self) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::begin("floors", self.written.commit.clone())?;
        outcome.set("each_s", self.amounts.each.as_secs_f64());
        let wanted = if self.only.is_empty() { every(&self.engines) } else { self.only.clone() };
        interruptible(some(&wanted, &self.engines, &self.amounts, &mut outcome)).await?;
        outcome.end()?;
        self.written.write(&outcome)?;
        Ok(outcome)
    }
}

/// All that can be measured here: those of engines only where engines are.
fn every(engines: &Engines) -> Vec<Floor> {
    let mut floors = vec![Floor::Write, Floor::Http];
    if engines.kafka().is_ok() {
        floors.push(Floor::Kafka);
    }
    if engines.postgres().is_ok() {
        floors.push(Floor::Postgres);
    }
    floors
}

/// Measures all floors that can be, with amounts of their own.
pub(crate) async fn measure(engines: &Engines, outcome: &mut Outcome) -> anyhow::Result<()> {
    some(&every(engines), engines, &Amounts::default(), outcome).await
}

async fn some(
    floors: &[Floor],
    engines: &Engines,
    amounts: &Amounts,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    for floor in floors {
        match floor {
            Floor::Write => {
                for sockets in &amounts.sockets {
                    written::measure(*sockets, amounts.each, outcome).await?;
                }
            }
            Floor::Http => answered::measure(amounts.each, outcome).await?,
            Floor::Kafka => kafka::measure(&engines.kafka()?, amounts, outcome).await?,
            Floor::Postgres => postgres::measure(engines, amounts.each, outcome).await?,
        }
    }
    Ok(())
}

/// Processor microseconds of this thread, or of this process, so far.
fn cpu_micros(clock: ClockId) -> f64 {
    let used = clock_gettime(clock);
    used.tv_sec as f64 * 1e6 + used.tv_nsec as f64 / 1e3
}
