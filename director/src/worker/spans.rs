//! The spans of the records that a worker has in flight, of those that are sampled. Bounded by what may be in flight.

use std::collections::HashMap;

use shared::delivery::NodeId;
use shared::outcome::{DeadReason, End};
use shared::telemetry::spans::{
    BODY_BYTES, END, FORWARDED, ID, NODE, OFFSET, Operation, PARTITION, REASON, TENANT,
};
use shared::telemetry::trace::{self, Begun, Span};

use crate::lane::Run;
use crate::routing::Record;

/// See the module. By offset.
#[derive(Debug, Default)]
pub(super) struct Spans(HashMap<u64, Span>);

impl Spans {
    /// Begins the span of a record that was taken; where it is forwarded to stands below it.
    pub(super) fn begin(&mut self, record: &mut Record) {
        let notification = &mut record.notification;
        let Begun { span, context } = trace::begin(Operation::Process, &notification.trace);
        if let Some(context) = context {
            notification.trace = context;
        }
        let Some(mut span) = span else { return };
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        span.note(ID, notification.id.as_str().to_owned());
        span.note(TENANT, notification.recipient.tenant.as_str().to_owned());
        span.note(BODY_BYTES, number(notification.content.len() as u64));
        span.note(PARTITION, record.position.partition.to_string());
        span.note(OFFSET, number(record.position.offset));
        self.0.insert(record.position.offset, span);
    }

    pub(super) fn forwarded(&mut self, record: &Record, node: NodeId) {
        if let Some(span) = self.of(record) {
            span.mark(FORWARDED, NODE, node.to_string());
        }
    }

    pub(super) fn parking(&mut self, run: &Run) {
        for (record, reason) in run {
            if let Some(span) = self.of(record) {
                span.note(REASON, reason.as_str());
            }
        }
    }

    /// It leaves the lanes for `dead`.
    pub(super) fn buried(&mut self, record: &Record, reason: &DeadReason) {
        if let Some(span) = self.of(record) {
            span.note(REASON, reason.code());
        }
        self.ended(record, End::DeadLettered);
    }

    pub(super) fn ended(&mut self, record: &Record, end: End) {
        if let Some(mut span) = self.0.remove(&record.position.offset) {
            let (id, end) = (&record.notification.id, end.as_str());
            tracing::debug!(trace_id = span.trace_id(), %id, position = ?record.position, end, "ended");
            span.note(END, end);
        }
    }

    fn of(&mut self, record: &Record) -> Option<&mut Span> {
        self.0.get_mut(&record.position.offset)
    }
}

impl Drop for Spans {
    /// What is given up is redelivered.
    fn drop(&mut self) {
        for span in self.0.values_mut() {
            span.note(END, "given_up");
        }
    }
}
