//! Spans: what a record's way through this process looks like in a trace. Off, and then free, unless the standard
//! `OTEL_*` variables name a collector ([`super::export`]).
//!
//! A record's span begins in one step of a state machine and ends in another, on whatever thread; so spans are values
//! that are kept with the record, and no span is ever "current". What is not sampled is never kept: [`begin`] answers
//! `None`, and that costs a draw of the sampler.

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};

use super::export;
use super::spans::Operation;
use crate::notification::Trace;

/// A span that is recorded. Ends when it is dropped.
#[derive(Debug)]
pub struct Span(Box<opentelemetry_sdk::trace::Span>);

/// What beginning an operation gives.
#[derive(Debug, Default)]
pub struct Begun {
    /// The span, if it is recorded.
    pub span: Option<Span>,
    /// What later parts of the way are to stand below, where that is not what this one stands below.
    pub context: Option<Trace>,
}

/// Begins `operation` below `parent`, or a trace of its own where `parent` names none that can be read. The sampler
/// decides whether anything of it is recorded.
#[must_use]
pub fn begin(operation: Operation, parent: &Trace) -> Begun {
    let Some(tracer) = export::tracer() else { return Begun::default() };
    let above = read(parent);
    let within = match &above {
        Some(context) => Context::new().with_remote_span_context(context.clone()),
        None => Context::new(),
    };
    let builder = SpanBuilder::from_name(operation.name()).with_kind(operation.kind());
    let mut span = tracer.build_with_context(builder, &within);
    let own = span.span_context();
    let unsampled_before = above.is_some_and(|above| !above.is_sampled());
    let context = (own.is_valid() && (own.is_sampled() || !unsampled_before)).then(|| write(own, parent));
    let recorded = span.is_recording().then(|| {
        span.set_attributes(operation.constants().into_iter().map(|(key, value)| KeyValue::new(key, value)));
        Span(Box::new(span))
    });
    Begun { span: recorded, context }
}

impl Span {
    /// Says something of it.
    pub fn note(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Something happened to it now.
    pub fn mark(&mut self, name: &'static str, key: &'static str, value: impl Into<Value>) {
        self.0.add_event(name, vec![KeyValue::new(key, value)]);
    }

    /// It failed, in a word of a few.
    pub fn fail(&mut self, kind: &'static str) {
        self.note(super::spans::ERROR, kind);
        self.0.set_status(Status::error(kind));
    }

    /// The trace it belongs to, as log lines name it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.0.span_context().trace_id().to_string()
    }

    /// What stands below it, in the trace of `parent`.
    #[must_use]
    pub fn context(&self, parent: &Trace) -> Trace {
        write(self.0.span_context(), parent)
    }
}

/// The context that `trace` names (W3C Trace Context, section 3.2); none when it cannot be read.
fn read(trace: &Trace) -> Option<SpanContext> {
    let mut parts = trace.parent.as_deref()?.splitn(5, '-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !(is_hex(version, 2) && is_hex(id, 32) && is_hex(span, 16) && is_hex(flags, 2)) || version == "ff" {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let state = trace.state.as_deref().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
    let (id, span) = (TraceId::from_hex(id).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(id, span, flags, true, state);
    context.is_valid().then_some(context)
}

/// `context` as headers. `baggage` stays as it came, and so does `tracestate` within its trace.
fn write(context: &SpanContext, parent: &Trace) -> Trace {
    let (trace, span) = (context.trace_id().to_string(), context.span_id());
    let flags = (context.trace_flags() & TraceFlags::SAMPLED).to_u8();
    let goes_on = parent.parent.as_deref().is_some_and(|above| above.contains(&trace));
    Trace {
        parent: Some(format!("00-{trace}-{span}-{flags:02x}")),
        state: parent.state.clone().filter(|_| goes_on),
        baggage: parent.baggage.clone(),
    }
}
