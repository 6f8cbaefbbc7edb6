//! Kafka, Redis and Postgres: what we ask of them.

use super::super::figures::number;
use super::super::stage::{Candidate, KAFKA, Load, POSTGRES, REDIS, Shape, Stage};
use super::{Given, amortised, whole};

/// Topics that have all partitions: notifications, parked, dead, outcomes.
const TOPICS: f64 = 4.0;

/// Brokers: every record is appended once and copied, read by directors, and by executors where there are any; what is
/// parked is appended once more and read three times (flags, rows, reconciler), outcomes once.
pub(super) fn kafka(given: Given<'_>, receivers: f64) -> Stage {
    let Given { demand, traffic, cost, settings } = given;
    let copies = demand.replication;
    let fill = Fill::of(given, receivers, settings.linger_s);
    let alone = cost.kafka_single.seconds();
    let among = |together| amortised(alone, cost.kafka_batched.seconds(), together);
    let each = demand.batch_share * among(fill.batched) + (1.0 - demand.batch_share) * among(fill.single);
    let with_copies = 1.0 + (copies - 1.0) * cost.kafka_copy_share.value;
    let groups = if demand.tasks > 0.0 { 3.0 } else { 1.0 };
    let record = traffic.record_bytes;
    let appended =
        (traffic.notifications + traffic.parked) * record + traffic.notifications * cost.outcome.value;
    let read = (groups * traffic.notifications + 3.0 * traffic.parked) * record
        + traffic.notifications * cost.outcome.value;
    let kept = demand.retention_hours * 3600.0;
    let stored = traffic.average
        * ((1.0 + demand.offline) * (cost.record_stored.value + demand.payload) + cost.outcome.value);
    let load = Load {
        // Whoever connects asks where `parked` ends; those of a node that ask at the same moment share an answer.
        cores: (traffic.notifications + traffic.parked) * each * with_copies
            + traffic.connects * cost.kafka_end.seconds(),
        memory_bytes: appended * copies * cost.kafka_cached.value,
        received_bytes: appended * copies,
        sent_bytes: appended * (copies - 1.0) + read,
        disk_bytes: stored * kept * copies,
        written_bytes: appended * copies,
        ..Load::default()
    };
    let shape = Shape {
        process_cores: demand.machine.cores,
        process_memory: cost.kafka_process.value,
        least: copies,
        alone: true,
    };
    let replicas = TOPICS * traffic.partitions * copies;
    let limits = [whole("replicas", replicas, cost.kafka_broker_replicas.value)];
    Stage::new(KAFKA, demand, shape, load, &limits)
        .noting(format!(
            "{} partitions of each of four topics, {replicas} replicas",
            number(traffic.partitions),
 replicas = number(replicas)))
        .noting(format!(
            "a partition's batch holds {} of the notifications that come alone and {} of those in batches: {} µs for a record, {} \
             times that with copies",
            number(fill.single),
            number(fill.batched),
            number(each * 1e6),
            number(with_copies)))
}

/// How many records a producer's batch holds: it is made per partition, so what comes to one receiver in the time a
/// batch fills is divided by the partitions.
struct Fill {
    single: f64,
    batched: f64,
}

impl Fill {
    fn of(given: Given<'_>, receivers: f64, linger_s: f64) -> Self {
        let arriving = given.traffic.notifications / receivers * linger_s;
        let among = given.traffic.partitions;
        Self {
            single: (arriving / among).max(1.0),
            batched: (arriving.max(given.demand.batch) / among).max(1.0),
        }
    }
}

/// The registry: one thread does everything, so one core is what a shard has. Sessions' flags are read again and again,
/// whether or not anything happens.
pub(super) fn redis(given: Given<'_>, directors: f64) -> Stage {
    let Given { demand, traffic, cost, settings } = given;
    let (read, write) = (cost.redis_read.seconds(), cost.redis_write.seconds());
    let swept = demand.clients / settings.sweep_s.max(demand.machine.sessions / settings.sweeps);
    let lookups = traffic.lookups;
    // Every director reads of every registration; those of a node that come at one moment share an entry.
    let news = traffic.connects * (cost.redis_news.seconds() + directors * cost.redis_news_read.seconds());
    // A look more after what was parked, and its mark; what came back is cleared.
    let parked = traffic.parked * (read + write) + traffic.parked.min(traffic.connects) * write;
    // Entered, flag read, removed.
    let connects = traffic.connects * (read + 2.0 * write);
    let load = Load {
        cores: (lookups + swept) * read + parked + connects + news,
        memory_bytes: traffic.recipients * cost.redis_client.value * cost.redis_overhead.value,
        received_bytes: (lookups + swept + 3.0 * traffic.connects + 3.0 * traffic.parked) * 100.0,
        sent_bytes: (lookups + swept) * 60.0,
        ..Load::default()
    };
    let shape = Shape { process_cores: 1.0, process_memory: 0.0, least: 1.0, alone: false };
    Stage::new(REDIS, demand, shape, load, &[])
        .noting(format!(
            "reads a second: {} to route, {} by the sweep of flags; connections write {} times; news of them to {} directors take {} \
             cores",
            number(lookups),
            number(swept),
            number(2.0 * traffic.connects),
            number(directors),
            number(news),
        ))
        .noting("a replica for each shard comes on top".to_owned())
}

/// The store: what is parked is written, read when its recipient comes back, and deleted.
pub(super) fn postgres(given: Given<'_>, processes: f64) -> Stage {
    let Given { demand, traffic, cost, settings } = given;
    // A partition's batch is written when it is old; more partitions make smaller batches.
    let commits = traffic.parked.min(traffic.partitions / settings.archiver_age_s);
    let drains = traffic.parked.min(traffic.connects);
    let row = cost.postgres_row.value + demand.payload;
    let cores = traffic.parked / cost.postgres_rows.value
        + traffic.parked / cost.postgres_deletes.value
        + drains / cost.postgres_drains.value
        + commits * cost.postgres_transaction.seconds();
    let load = Load {
        cores,
        memory_bytes: traffic.stored_rows * row * cost.postgres_cached.value,
        received_bytes: traffic.parked * row,
        sent_bytes: traffic.parked * row,
        disk_bytes: traffic.stored_rows * row,
        // Row and indexes, their log, and the log of the deletion.
        written_bytes: traffic.parked * row * cost.postgres_written.value,
        syncs: commits,
        ..Load::default()
    };
    let shape = Shape { process_cores: demand.machine.cores, process_memory: 0.0, least: 1.0, alone: true };
    let limits: [Candidate; 0] = [];
    Stage::new(POSTGRES, demand, shape, load, &limits)
        .noting(format!(
            "{} rows stored; {commits} transactions a second of {} rows",
            number(traffic.stored_rows),
            number(traffic.parked / commits.max(1.0)),
            commits = number(commits)
        ))
        .noting(format!(
            "{} connections if every process had its {}: a pooler must stand before it",
            number(processes * settings.postgres_connections),
            number(settings.postgres_connections)
        ))
        .noting("a standby for each shard comes on top".to_owned())
}
