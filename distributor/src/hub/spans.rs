//! The spans of the notifications that were sent to one client and are not acknowledged, of those that are sampled. The
//! window of the session bounds them; a session without any holds nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use shared::delivery::{SessionId, Verdict};
use shared::notification::{Notification, Trace};
use shared::position::{Cursor, Position};
use shared::telemetry::spans::{END, ID, Operation, SENT_AGAIN, SESSION, SPILLED, TENANT};
use shared::telemetry::trace::{self, Begun, Span};

use super::Transport;
use crate::session::Frame;

/// See the module. By position; `None` while nothing is sampled, for most sessions always.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "most sessions have none, and there are very many sessions")]
pub(super) struct Spans(Option<Box<VecDeque<(Position, Span)>>>);

impl Spans {
    /// Begins the span of a frame on its way to the client, who is told of it: what the client does with the
    /// notification stands below it.
    pub(super) fn sending(&mut self, frame: Frame, session: SessionId, transport: Transport) -> Frame {
        let Frame::Notification { seq, position, notification } = frame else { return frame };
        let notification = match self.of(position) {
            Some(span) => {
                span.mark(SENT_AGAIN, SESSION, session.to_string());
                stamped(&notification, span.context(&notification.trace))
            }
            None => self.begin(position, notification, session, transport),
        };
        Frame::Notification { seq, position, notification }
    }

    fn begin(
        &mut self,
        position: Position,
        notification: Arc<Notification>,
        session: SessionId,
        transport: Transport,
    ) -> Arc<Notification> {
        let Begun { span, context } =
            trace::begin(Operation::Deliver(transport.as_str()), &notification.trace);
        if let Some(mut span) = span {
            span.note(ID, notification.id.as_str().to_owned());
            span.note(TENANT, notification.recipient.tenant.as_str().to_owned());
            span.note(SESSION, session.to_string());
            self.0.get_or_insert_default().push_back((position, span));
        }
        context.map_or_else(|| Arc::clone(&notification), |context| stamped(&notification, context))
    }

    /// A director is told what became of the record at `position`.
    pub(super) fn answered(&mut self, position: Position, verdict: &Verdict, session: SessionId) {
        match verdict {
            Verdict::Spilled => {
                if let Some(span) = self.of(position) {
                    span.mark(SPILLED, SESSION, session.to_string());
                }
            }
            Verdict::Rejected(_) => self.refused(position),
            // The cursor tells.
            Verdict::Acknowledged | Verdict::Expired | Verdict::Gone => {}
        }
    }

    /// The client refused the frame at `position` for good.
    pub(super) fn refused(&mut self, position: Position) {
        let Some(open) = &mut self.0 else { return };
        let index = open.iter().position(|(sent, _)| *sent == position);
        if let Some((_, mut span)) = index.and_then(|index| open.remove(index)) {
            span.note(END, "refused");
        }
    }

    /// Ends the spans of what the client has processed: everything behind `cursor`.
    pub(super) fn acknowledged(&mut self, cursor: Cursor) {
        let Some(open) = &mut self.0 else { return };
        while let Some((position, mut span)) = open.pop_front_if(|(sent, _)| cursor.covers(*sent)) {
            tracing::debug!(trace_id = span.trace_id(), ?position, "acknowledged");
            span.note(END, "acknowledged");
        }
        if open.is_empty() {
            self.0 = None;
        }
    }

    /// The session is over; what was not acknowledged comes again elsewhere.
    pub(super) fn close(&mut self) {
        for (_, mut span) in self.0.take().into_iter().flat_map(|open| *open) {
            span.note(END, "unacknowledged");
        }
    }

    fn of(&mut self, position: Position) -> Option<&mut Span> {
        self.0.as_mut()?.iter_mut().find(|(sent, _)| *sent == position).map(|(_, span)| span)
    }
}

/// The notification with another context; the content is shared.
fn stamped(notification: &Arc<Notification>, context: Trace) -> Arc<Notification> {
    Arc::new(Notification { trace: context, ..Notification::clone(notification) })
}
