//! What each stage needs. Every figure is a rate times a coefficient; what is more than that says why.

mod engines;

use super::figures::number;
use super::stage::{Candidate, DIRECTOR, DISTRIBUTOR, EXECUTOR, Load, RECEIVER, Shape, Stage, TLS};
use super::{Coefficients, Demand, Settings, Traffic};

/// A process that fails is replaced by another.
const TWO: f64 = 2.0;

/// What a TLS record adds, beside its cipher's work.
const TLS_RECORD_BYTES: f64 = 29.0;

/// What one stage is computed from.
#[derive(Clone, Copy)]
struct Given<'a> {
    demand: &'a Demand,
    traffic: &'a Traffic,
    cost: &'a Coefficients,
    settings: &'a Settings,
}

/// In the order of a notification's way.
pub(super) fn all(
    demand: &Demand,
    traffic: &Traffic,
    cost: &Coefficients,
    settings: &Settings,
) -> Vec<Stage> {
    let given = Given { demand, traffic, cost, settings };
    let receiver = receiver(given);
    let distributor = distributor(given);
    let director = director(given, distributor.processes as f64);
    let kafka = engines::kafka(given, receiver.processes as f64);
    let executor = (demand.tasks > 0.0).then(|| executor(given));
    let ours: u64 = [&receiver, &director, &distributor].iter().map(|stage| stage.processes).sum();
    let processes = ours + executor.as_ref().map_or(0, |executor| executor.processes);
    let postgres = engines::postgres(given, processes as f64);
    let redis = engines::redis(given, director.processes as f64);
    let mut stages = vec![receiver, kafka, director, redis, distributor];
    stages.extend(demand.tls.then(|| tls(given)));
    stages.push(postgres);
    stages.extend(executor);
    stages
}

/// A stage of our own: processes as large as was measured, as many on a machine as fit.
fn service(given: Given<'_>, extra_memory: f64) -> Shape {
    Shape {
        process_cores: given.demand.machine.process_cores,
        process_memory: given.cost.process_base.value + extra_memory,
        least: TWO,
        alone: false,
    }
}

/// The cost of one among `together`, from that of one alone and that of one among a hundred: what is spent once for all
/// is divided.
fn amortised(alone: f64, among_a_hundred: f64, together: f64) -> f64 {
    let once = (alone - among_a_hundred).max(0.0) / 0.99;
    let each = (alone - once).max(0.0);
    each + once / together.max(1.0)
}

fn receiver(given: Given<'_>) -> Stage {
    let Given { demand, traffic, cost, settings } = given;
    let alone = cost.receiver_single.seconds();
    let batched = amortised(alone, cost.receiver_batched.seconds(), demand.batch);
    let each = demand.batch_share * batched + (1.0 - demand.batch_share) * alone;
    let load = Load {
        cores: traffic.notifications * each,
        received_bytes: traffic.request_bytes,
        sent_bytes: traffic.notifications * traffic.record_bytes,
        ..Load::default()
    };
    let shape = service(given, settings.receiver_bytes);
    Stage::new(RECEIVER, demand, shape, load, &[]).noting(format!(
        "{} µs for a notification on average: {} alone, {} in a batch of {}",
        number(each * 1e6),
        number(alone * 1e6),
        number(batched * 1e6),
        number(demand.batch)
    ))
}

/// It consumes, asks, forwards and commits; its archiver moves what was parked.
fn director(given: Given<'_>, nodes: f64) -> Stage {
    let Given { demand, traffic, cost, settings } = given;
    let archived = traffic.parked * cost.archiver_row.seconds();
    let record = traffic.record_bytes;
    let load = Load {
        cores: traffic.notifications * cost.director.seconds() + archived,
        // All that it may hold of its partitions, while clients or engines are slow.
        memory_bytes: traffic.partitions * settings.partition_bytes
            + traffic.remembered * cost.remembered_route.value,
        // `notifications` once, `parked` twice: flags and rows.
        received_bytes: (traffic.notifications + 2.0 * traffic.parked) * record,
        // To nodes, to `parked`, to the store.
        sent_bytes: (traffic.notifications + 2.0 * traffic.parked) * record,
        ..Load::default()
    };
    let stage = Stage::new(DIRECTOR, demand, service(given, 0.0), load, &[]);
    let streams = stage.processes as f64 * nodes;
    let each = traffic.notifications / streams;
    stage.noting(format!(
        "{streams} streams to nodes, {each} records a second on each: batches between the two are of one record, so the \
         figure for notifications that come alone is taken",
 streams = number(streams),
 each = number(each)))
}

/// Every notification goes out once, live or after it was stored.
fn distributor(given: Given<'_>) -> Stage {
    let Given { demand, traffic, cost, settings: _ } = given;
    let live = traffic.notifications - traffic.parked;
    let cores = live * cost.distributor_delivery.seconds()
        + traffic.parked * cost.distributor_drained.seconds()
        + traffic.acknowledgements * cost.distributor_acknowledgement.seconds()
        + demand.clients * cost.connection_idle.seconds()
        + traffic.connects * cost.connection_handshake.seconds();
    let process = demand.clients * cost.connection_memory.value;
    let load = Load {
        cores,
        memory_bytes: process + demand.clients * cost.connection_kernel.value,
        received_bytes: traffic.notifications * traffic.record_bytes
            + traffic.acknowledgements * cost.acknowledgement.value,
        sent_bytes: traffic.notifications * traffic.frame_bytes,
        descriptors: demand.clients,
        sessions: demand.clients,
        ..Load::default()
    };
    let delivery = live * cost.distributor_delivery.seconds();
    let idle = demand.clients * cost.connection_idle.seconds();
    let handshakes = traffic.connects * cost.connection_handshake.seconds();
    Stage::new(DISTRIBUTOR, demand, service(given, 0.0), load, &[])
        .noting(format!(
            "cores: {delivery} for live deliveries, {idle} for connections that only live, {handshakes} for new ones, \
             the rest for acknowledgements and drains",
 delivery = number(delivery),
 idle = number(idle),
 handshakes = number(handshakes)))
        .noting(format!(
            "a client gets one notification in {} s on average, so no two share a frame's write",
            number(demand.clients / traffic.average)))
}

/// Ends TLS before the distributors, which speak none themselves.
fn tls(given: Given<'_>) -> Stage {
    let Given { demand, traffic, cost, settings: _ } = given;
    let records = traffic.notifications + traffic.acknowledgements;
    let sent = traffic.notifications * (traffic.frame_bytes + TLS_RECORD_BYTES);
    let load = Load {
        cores: traffic.connects * cost.tls_handshake.seconds() + records * cost.tls_record.seconds(),
        memory_bytes: demand.clients * (cost.tls_connection.value + 2.0 * cost.connection_kernel.value),
        received_bytes: sent,
        sent_bytes: sent,
        // One towards the client and one towards the node.
        descriptors: 2.0 * demand.clients,
        ..Load::default()
    };
    Stage::new(TLS, demand, service(given, 0.0), load, &[])
}

/// Both groups of the executors read all of `notifications`, whatever of it is theirs.
fn executor(given: Given<'_>) -> Stage {
    let Given { demand, traffic, cost, settings: _ } = given;
    let skipped = 2.0 * traffic.notifications * cost.executor_skip.seconds();
    let load = Load {
        cores: skipped + demand.tasks * demand.peak * cost.executor_task.seconds(),
        received_bytes: 2.0 * traffic.notifications * traffic.record_bytes,
        ..Load::default()
    };
    Stage::new(EXECUTOR, demand, service(given, 512.0 * 1024.0 * 1024.0), load, &[]).noting(format!(
        "{skipped} cores only to pass over notifications that ask for no task",
        skipped = number(skipped)
    ))
}

/// A limit that is planned up to itself: nothing of it has to stay free.
fn whole(of: &'static str, needed: f64, each: f64) -> Candidate {
    Candidate { of, needed, each }
}
