//! Log lines, metrics and traces of a process. Log lines and spans carry ids, never payloads.
//!
//! Reading order: this file starts log lines and metrics; [`trace`] is how a service makes spans, [`spans`] how they are
//! named, [`export`] how they leave.

pub mod export;
pub mod spans;
pub mod trace;

use std::io::IsTerminal as _;

use metrics::{describe_gauge, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use tokio::time::Instant;

use crate::config::TelemetrySettings;

/// Upper bounds of every histogram of seconds: from 0.5 ms, a hop on a quiet machine, to 10 min, the longest outage
/// that must be survived.
pub const SECONDS_BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0];

/// Upper bounds of every histogram of records in a batch.
const RECORDS_BUCKETS: [f64; 13] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

/// Libraries that tell thousands of lines for each module that is compiled. From them warnings count, unless the filter
/// names them.
const LOUD: [&str; 4] = ["cranelift_codegen", "regalloc2", "wasmtime", "wasmtime_internal_cranelift"];

/// Starts log lines on standard error. Does nothing when the process already has a subscriber.
pub fn start_logs(settings: &TelemetrySettings) {
    let stated = &settings.filter;
    let quiet = LOUD.iter().filter(|name| !stated.contains(**name)).map(|name| format!(",{name}=warn"));
    let filter = stated.clone() + &quiet.collect::<String>();
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_default();
    let colours = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // A second start in one process (tests) keeps the first subscriber, which is what is wanted.
    let _already_started =
        if settings.json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}

/// Installs the metrics recorder of a process called `process` and answers the handle that [`crate::admin`] renders.
///
/// # Errors
/// When the process already has a recorder.
pub fn start_metrics(process: &'static str) -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_records".into()), &RECORDS_BUCKETS)?
        .with_recommended_naming(true)
        .install_recorder()?;
    describe_gauge!("postrider_build_info", "1: there is such a process");
    gauge!("postrider_build_info", "process" => process, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Times `call`, an `operation` of a port on `engine`, under `name`; `word` says an error in one word of a few. A call
/// that is dropped before it answers is not recorded.
pub(crate) async fn timed<T, E>(
    (name, engine, operation): (&'static str, &'static str, &'static str),
    word: impl FnOnce(&E) -> &'static str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let asked = Instant::now();
    let answer = call.await;
    let outcome = answer.as_ref().err().map_or("ok", word);
    histogram!(name, "engine" => engine, "operation" => operation, "outcome" => outcome)
        .record(asked.elapsed().as_secs_f64());
    answer
}
