//! How spans leave the process: OTLP over gRPC to the collector that the standard `OTEL_*` variables name, in batches, from
//! a thread of the SDK's own. A collector that is away, slow or silent costs spans and nothing else: ending a span never
//! waits, what waits for the collector is bounded (`OTEL_BSP_MAX_QUEUE_SIZE`), what does not fit is dropped and counted,
//! and stopping waits for a stated time at most.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use opentelemetry::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter as Otlp;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};

use crate::config::{Traces, most_waiting_spans};

const SPANS: &str = "postrider_trace_spans";
const WAITING: &str = "postrider_trace_spans_waiting";

/// What became of a span that was recorded.
const EXPORTED: &str = "exported";
/// The collector did not take it.
const FAILED: &str = "failed";
/// Too many waited for the collector, or the process stopped first.
const DROPPED: &str = "dropped";

struct Started {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

static STARTED: OnceLock<Started> = OnceLock::new();

/// The tracer, while traces are on.
pub(super) fn tracer() -> Option<&'static SdkTracer> {
    STARTED.get().map(|started| &started.tracer)
}

/// Starts traces of a process called `process`, if the environment asks for them; called inside the runtime. What
/// cannot be started is said in a log line, and is no reason not to start. A second start in one process (tests) keeps
/// the first.
pub fn start(process: &'static str) {
    let endpoint = match Traces::of_environment() {
        Traces::Off => return,
        Traces::To(endpoint) => endpoint,
        Traces::Unsupported(why) => return tracing::warn!(why, "traces stay off"),
    };
    let exporter = match Otlp::builder().with_tonic().build() {
        Ok(exporter) => exporter,
        Err(error) => {
            return tracing::warn!(%error, "traces stay off: the collector's address cannot be used");
        }
    };
    describe();
    let provider = provider(exporter, resource(process), most_waiting_spans());
    let tracer = provider.tracer("postrider");
    if STARTED.set(Started { provider, tracer }).is_ok() {
        tracing::info!(collector = endpoint, "traces are on");
    }
}

/// Waits at most `limit` until the collector has what was recorded. Spans that end later are dropped.
pub async fn stop(limit: Duration) {
    let Some(started) = STARTED.get() else { return };
    // Its thread may be in a call that takes longer, and is left behind then.
    let stopping = tokio::task::spawn_blocking(move || started.provider.shutdown_with_timeout(limit));
    if !matches!(stopping.await, Ok(Ok(()))) {
        tracing::warn!(?limit, "the collector did not take all spans in time");
    }
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, and the process's own name and version where they say nothing.
fn resource(process: &'static str) -> Resource {
    const SERVICE: &str = "service.name";
    let stated = Resource::builder().build();
    let named = stated.get(&SERVICE.into()).filter(|name| !name.as_str().starts_with("unknown_service"));
    let version = ("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder_empty()
        .with_attribute(opentelemetry::KeyValue::new(version.0, version.1))
        .with_attributes(
            stated.iter().map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone())),
        );
    match named {
        Some(_) => builder.build(),
        None => builder.with_service_name(process).build(),
    }
}

fn provider<E: SpanExporter + 'static>(exporter: E, resource: Resource, most: usize) -> SdkTracerProvider {
    let waiting = Arc::new(AtomicUsize::new(0));
    let counted = Counted { exporter, waiting: Arc::clone(&waiting), failing: AtomicBool::new(false) };
    let batches = BatchSpanProcessor::builder(counted)
        // The SDK's own bound never decides, so that every drop is counted here.
        .with_batch_config(BatchConfigBuilder::default().with_max_queue_size(most).build())
        .build();
    SdkTracerProvider::builder()
        .with_resource(resource)
        .with_span_processor(Bounded { batches, waiting, most, stopped: AtomicBool::new(false) })
        .build()
}

fn describe() {
    describe_counter!(SPANS, "recorded spans, by what became of them");
    describe_gauge!(WAITING, "spans that wait for the collector");
    for became in [EXPORTED, FAILED, DROPPED] {
        counter!(SPANS, "outcome" => became).increment(0);
    }
    gauge!(WAITING).set(0.0);
}

fn count(became: &'static str, spans: usize) {
    counter!(SPANS, "outcome" => became).increment(spans as u64);
}

/// Takes ended spans while there is room.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    /// Taken, and not yet exported or failed.
    waiting: Arc<AtomicUsize>,
    most: usize,
    stopped: AtomicBool,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _span: &mut Span, _within: &Context) {}

    fn on_end(&self, span: SpanData) {
        let room = |waiting| (waiting < self.most).then_some(waiting + 1);
        let taken = !self.stopped.load(Ordering::Relaxed)
            && self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        if taken {
            self.batches.on_end(span);
        } else {
            count(DROPPED, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.stopped.store(true, Ordering::Relaxed);
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what becomes of batches, and says so in the log when it changes.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        gauge!(WAITING).set(self.waiting.load(Ordering::Relaxed) as f64);
        let result = self.exporter.export(batch).await;
        let left = self.waiting.fetch_sub(spans, Ordering::Relaxed).saturating_sub(spans);
        gauge!(WAITING).set(left as f64);
        count(if result.is_ok() { EXPORTED } else { FAILED }, spans);
        match (&result, self.failing.swap(result.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => tracing::warn!(%error, "the trace collector does not take spans"),
            (Ok(()), true) => tracing::info!("the trace collector takes spans again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
