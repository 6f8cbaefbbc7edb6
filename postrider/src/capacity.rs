//! What an installation of a given size needs: rates and sizes go in, processes, cores, memory, network and disk of
//! each stage come out, with what bounds it, what storms cost, and what of this cannot be concluded from what was measured.
//!
//! Pure arithmetic. Reading order: [`demand`], what is asked for; [`coefficients`], what a unit costs, from a committed
//! file; [`settings`], what the services' own defaults say; [`traffic`], the rates that follow; [`stage`], how one stage
//! is sized; [`stages`], what each of them needs; [`storms`]; [`limits`]; [`report`], all of it for people.
//! `postrider capacity` prints it, and `docs/CAPACITY.md` is what it prints for its defaults.

mod coefficients;
mod demand;
mod figures;
mod limits;
mod report;
mod settings;
mod stage;
mod stages;
mod storms;
#[cfg(test)]
mod tests;
mod traffic;

use serde::Serialize;

pub(crate) use self::coefficients::Coefficients;
pub(crate) use self::demand::Demand;
pub(crate) use self::report::{markdown, text};
pub(crate) use self::settings::Settings;

use self::limits::Limit;
use self::stage::Stage;
use self::storms::Storm;
use self::traffic::Traffic;

/// A whole plan.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    /// What was asked for.
    pub(crate) demand: Demand,
    /// The rates that everything is sized for.
    pub(crate) traffic: Traffic,
    /// In the order of a notification's way.
    pub(crate) stages: Vec<Stage>,
    /// All stages together.
    pub(crate) totals: Totals,
    /// How many installations, each with recipients of its own, it takes today.
    pub(crate) installations: u64,
    pub(crate) storms: Vec<Storm>,
    pub(crate) limits: Vec<Limit>,
}

/// Sums over the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Totals {
    pub(crate) machines: u64,
    pub(crate) processes: u64,
    pub(crate) cores: f64,
    pub(crate) memory_bytes: f64,
    pub(crate) disk_bytes: f64,
}

impl Plan {
    /// The plan for `demand`, which has been checked.
    pub(crate) fn of(demand: &Demand, coefficients: &Coefficients, settings: &Settings) -> Self {
        let traffic = Traffic::of(demand, coefficients, settings);
        let stages = stages::all(demand, &traffic, coefficients, settings);
        let totals = stages.iter().fold(Totals::default(), |sum, stage| Totals {
            machines: sum.machines + stage.machines,
            processes: sum.processes + stage.processes,
            cores: sum.cores + stage.load.cores,
            memory_bytes: sum.memory_bytes + stage.load.memory_bytes,
            disk_bytes: sum.disk_bytes + stage.load.disk_bytes,
        });
        // Neither engine can be divided by one installation, so whoever needs several of one needs several of all.
        let shards = stage::named(&stages, stage::REDIS).map_or(1, |redis| redis.processes);
        let databases = stage::named(&stages, stage::POSTGRES).map_or(1, |postgres| postgres.machines);
        let installations = shards.max(databases);
        let storms = storms::all(demand, &traffic, &stages, coefficients, settings);
        let limits = limits::all(demand, &traffic, &stages, installations, settings);
        Self { demand: demand.clone(), traffic, stages, totals, installations, storms, limits }
    }
}
