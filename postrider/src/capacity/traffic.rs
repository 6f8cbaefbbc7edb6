//! The rates and sizes that follow from what is asked for, at the peak.

use serde::Serialize;

use super::{Coefficients, Demand, Settings};

/// A partition's worker is one task, planned to be busy for no more than this share of a core.
const WORKER_BUSY: f64 = 0.5;

/// Partitions come in dozens: they divide evenly among most numbers of processes.
const DOZEN: f64 = 12.0;

/// See the module. Rates are per second.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Traffic {
    /// Notifications at the peak.
    pub(crate) notifications: f64,
    /// Notifications on average: what disks fill by.
    pub(crate) average: f64,
    /// Those that are stored first, at the peak.
    pub(crate) parked: f64,
    /// Requests of producers.
    pub(crate) requests: f64,
    /// Bytes of them.
    pub(crate) request_bytes: f64,
    /// Connections that are made, and as many that end.
    pub(crate) connects: f64,
    /// Recipients whom directors ask the registry for.
    pub(crate) lookups: f64,
    /// Recipients whose routes directors remember.
    pub(crate) remembered: f64,
    /// Acknowledgements of clients.
    pub(crate) acknowledgements: f64,
    /// Recipients that the registry knows, connected or not.
    pub(crate) recipients: f64,
    /// Rows in the store.
    pub(crate) stored_rows: f64,
    /// A record of `notifications`, as it is sent.
    pub(crate) record_bytes: f64,
    /// A frame to a client, with the headers of its packet.
    pub(crate) frame_bytes: f64,
    /// Partitions of each topic.
    pub(crate) partitions: f64,
}

impl Traffic {
    pub(super) fn of(demand: &Demand, cost: &Coefficients, settings: &Settings) -> Self {
        let average = demand.rate;
        let notifications = average * demand.peak;
        let (together, alone) =
            (notifications * demand.batch_share, notifications * (1.0 - demand.batch_share));
        let record_bytes = demand.payload + cost.record_overhead.value;
        let by_worker = notifications * cost.director.seconds() / WORKER_BUSY;
        let by_bytes = notifications * record_bytes / cost.kafka_partition.value;
        let connects = demand.clients / demand.lifetime * demand.peak;
        let recipients = demand.clients / (1.0 - demand.offline);
        let remembered = remembered(notifications, recipients, connects, settings);
        Self {
            notifications,
            average,
            parked: notifications * demand.offline,
            requests: alone + together / demand.batch,
            request_bytes: alone * (cost.request.value + demand.payload)
                + together * (cost.request_item.value + demand.payload + cost.request.value / demand.batch),
            connects,
            lookups: notifications * (1.0 - remembered),
            remembered: recipients * remembered,
            acknowledgements: notifications / demand.ack_batch,
            recipients,
            stored_rows: average * demand.offline * demand.away_hours * 3600.0,
            record_bytes,
            frame_bytes: demand.payload + cost.frame_overhead.value,
            partitions: up(by_worker.max(by_bytes) / DOZEN) * DOZEN,
        }
    }
}

/// The share of recipients whose routes are remembered at any moment, and so that of notifications that need no question: one
/// is asked for, remembered for a while, and asked for again with its next notification after that. None is where the news
/// are too many to be read.
fn remembered(notifications: f64, recipients: f64, connects: f64, settings: &Settings) -> f64 {
    if connects * settings.news_s >= settings.news_most {
        return 0.0;
    }
    let kept = notifications / recipients * settings.remembered_s;
    kept / (1.0 + kept)
}

/// The next whole number, at least one.
pub(super) fn up(value: f64) -> f64 {
    value.ceil().max(1.0)
}
