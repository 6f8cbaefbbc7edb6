//! The names of this crate's metrics, and nothing else. Labels are words of fixed sets, never ids.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use shared::delivery::{Rejection, Verdict};
use shared::store::GapCause;

use crate::hub::{Refused, Transport};
use crate::protocol::Code;
use crate::session::Frame;
use crate::websocket::Ended;

/// Shows gauges, and the counters that alerts watch, before anything happened: who scales by them finds them. `most` is how
/// many sessions there may be.
pub(crate) fn show(most: usize) {
    gauge!("postrider_sessions_most").set(most as f64);
    for transport in [Transport::WebSocket, Transport::Sse, Transport::Poll] {
        gauge!("postrider_sessions", "transport" => transport.as_str()).increment(0.0);
        counter!("postrider_sessions_opened", "transport" => transport.as_str()).increment(0);
        counter!("postrider_sessions_resumed", "transport" => transport.as_str()).increment(0);
        counter!("postrider_notifications_sent", "transport" => transport.as_str()).increment(0);
    }
    for refused in [Refused::Full, Refused::RecipientFull, Refused::TenantFull, Refused::Draining] {
        counter!("postrider_sessions_refused", "cause" => refused.as_str()).increment(0);
    }
    for rejection in [Rejection::Refused, Rejection::Undecodable] {
        counter!("postrider_refusals_dead_lettered", "reason" => rejection.as_str()).increment(0);
    }
    for cause in GapCause::ALL {
        counter!("postrider_gaps_told", "cause" => cause.as_str()).increment(0);
    }
    for engine in ["log", "registry", "store"] {
        counter!("postrider_distributor_engine_failures", "engine" => engine).increment(0);
    }
    for what in ["delete", "refusal", "removal"] {
        counter!("postrider_distributor_given_up", "what" => what).increment(0);
    }
    for outcome in ["passed_on", "no_session", "busy", "failed"] {
        counter!("postrider_acknowledgements_relayed", "outcome" => outcome).increment(0);
    }
    counter!("postrider_sessions_announced_again").increment(0);
    counter!("postrider_frames_not_sendable").increment(0);
    counter!("postrider_drained").increment(0);
    counter!("postrider_gate_full").increment(0);
    gauge!("postrider_link_streams").increment(0.0);
    gauge!("postrider_gate_bytes").increment(0.0);
}

/// A session; `resumed` when it goes on where its client says that another stopped.
pub(crate) fn session_opened(transport: Transport, resumed: bool) {
    if resumed {
        counter!("postrider_sessions_resumed", "transport" => transport.as_str()).increment(1);
    }
    gauge!("postrider_sessions", "transport" => transport.as_str()).increment(1.0);
    counter!("postrider_sessions_opened", "transport" => transport.as_str()).increment(1);
}

pub(crate) fn session_refused(refused: Refused) {
    counter!("postrider_sessions_refused", "cause" => refused.as_str()).increment(1);
}

pub(crate) fn session_ended(transport: Transport) {
    gauge!("postrider_sessions", "transport" => transport.as_str()).decrement(1.0);
}

pub(crate) fn verdict(verdict: &Verdict) {
    let word = match verdict {
        Verdict::Acknowledged => "acknowledged",
        Verdict::Expired => "expired",
        Verdict::Spilled => "spilled",
        Verdict::Gone => "gone",
        Verdict::Rejected(_) => "rejected",
    };
    counter!("postrider_verdicts", "verdict" => word).increment(1);
}

/// A frame on its way to a client.
pub(crate) fn sent(frame: &Frame, transport: Transport) {
    match frame {
        Frame::Welcome { .. } => {}
        Frame::Notification { .. } => {
            counter!("postrider_notifications_sent", "transport" => transport.as_str()).increment(1);
        }
        Frame::Drained { count } => counter!("postrider_drained").increment(*count),
        Frame::Gap { cause, .. } => counter!("postrider_gaps_told", "cause" => cause.as_str()).increment(1),
    }
}

/// The client acknowledged; `took` so long since the oldest frame was sent that it had not acknowledged.
pub(crate) fn acknowledged(transport: Transport, took: Duration) {
    histogram!("postrider_acknowledgement_seconds", "transport" => transport.as_str())
        .record(took.as_secs_f64());
}

/// A session's gate holds other records than before.
pub(crate) fn gate_changed(before: usize, after: usize) {
    gauge!("postrider_gate_bytes").increment(after as f64 - before as f64);
}

/// A stream fell behind because a session's gate had no room for its record.
pub(crate) fn gate_full() {
    counter!("postrider_gate_full").increment(1);
}

/// Work given up because its bound was reached or its attempts were spent; `what` is a word of the code.
pub(crate) fn given_up(what: &'static str, count: usize) {
    counter!("postrider_distributor_given_up", "what" => what).increment(count as u64);
}

/// A call of an engine that failed and is made again.
pub(crate) fn engine_failed(engine: &'static str) {
    counter!("postrider_distributor_engine_failures", "engine" => engine).increment(1);
}

pub(crate) fn stream_opened() {
    gauge!("postrider_link_streams").increment(1.0);
}

pub(crate) fn stream_ended() {
    gauge!("postrider_link_streams").decrement(1.0);
}

/// An acknowledgement that arrived here for a session at another node; `outcome` is a word of the code.
pub(crate) fn relayed(outcome: &'static str) {
    counter!("postrider_acknowledgements_relayed", "outcome" => outcome).increment(1);
}

/// Frames that came from directors.
pub(crate) fn frames(count: usize) {
    counter!("postrider_link_frames").increment(count as u64);
}

pub(crate) fn announced(count: usize) {
    counter!("postrider_sessions_announced_again").increment(count as u64);
}

pub(crate) fn poked_by_sweep(count: u64) {
    counter!("postrider_sweep_pokes").increment(count);
}

/// A refused notification that stands on `dead` now.
pub(crate) fn dead_lettered(rejection: Rejection) {
    counter!("postrider_refusals_dead_lettered", "reason" => rejection.as_str()).increment(1);
}

/// A request that was answered with a problem.
pub(crate) fn request_refused(code: &'static str) {
    counter!("postrider_requests_refused", "code" => code).increment(1);
}

/// A client frame that was answered with an error.
pub(crate) fn bad_frame(code: Code) {
    counter!("postrider_bad_frames", "code" => code.as_str()).increment(1);
}

/// A notification whose frame is larger than may be sent.
pub(crate) fn frame_not_sendable() {
    counter!("postrider_frames_not_sendable").increment(1);
}

/// A WebSocket that came to its end.
pub(crate) fn websocket_ended(ended: &Ended) {
    let reason = match ended {
        Ended::Gone => "gone",
        Ended::Closed(close) => close.reason(),
    };
    counter!("postrider_websockets_ended", "reason" => reason).increment(1);
}
