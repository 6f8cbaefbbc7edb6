//! The names of spans and of their attributes, and nothing else. They follow OpenTelemetry's semantic conventions for
//! HTTP and for messaging where those have a word; what is ours begins with `postrider.`. The conventions for messaging
//! still move: what they rename is renamed here.

use std::borrow::Cow;

use opentelemetry::trace::SpanKind;

/// What a span is about. One trace leads from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The receiver answers a request of this route.
    Request(&'static str),
    /// The receiver appends a record: until the log answered.
    Send,
    /// A director works on a record: from fetching it to its end.
    Process,
    /// An executor makes an attempt in the sandbox, for a `task` or an `enrichment`: until the module answered.
    Run(&'static str),
    /// A distributor has sent a frame by this transport: until the client acknowledged it.
    Deliver(&'static str),
}

impl Operation {
    /// The span's name: `{method} {route}`, `{operation} {destination}`.
    pub(super) fn name(self) -> Cow<'static, str> {
        match self {
            Self::Request(route) => format!("POST {route}").into(),
            Self::Send => "send notifications".into(),
            Self::Process => "process notifications".into(),
            Self::Run(purpose) => format!("run {purpose}").into(),
            Self::Deliver(transport) => format!("deliver {transport}").into(),
        }
    }

    pub(super) fn kind(self) -> SpanKind {
        match self {
            Self::Request(_) => SpanKind::Server,
            Self::Send | Self::Deliver(_) => SpanKind::Producer,
            Self::Process | Self::Run(_) => SpanKind::Consumer,
        }
    }

    /// What every span of this operation says of itself.
    pub(super) fn constants(self) -> Vec<(&'static str, &'static str)> {
        let messaging = |name, kind, destination| {
            vec![
                ("messaging.system", "postrider"),
                ("messaging.operation.name", name),
                ("messaging.operation.type", kind),
                ("messaging.destination.name", destination),
            ]
        };
        match self {
            Self::Request(route) => vec![("http.request.method", "POST"), ("http.route", route)],
            Self::Send => messaging("send", "send", "notifications"),
            Self::Process => {
                let mut all = messaging("process", "process", "notifications");
                all.push(("messaging.consumer.group.name", "director"));
                all
            }
            Self::Run(purpose) => {
                let mut all = messaging("run", "process", "notifications");
                all.push(("postrider.purpose", purpose));
                all
            }
            Self::Deliver(transport) => messaging("deliver", "send", transport),
        }
    }
}

/// Status code of the answer.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// Id of the notification.
pub const ID: &str = "messaging.message.id";
/// Content, in bytes.
pub const BODY_BYTES: &str = "messaging.message.body.size";
/// Partition of its topic.
pub const PARTITION: &str = "messaging.destination.partition.id";
/// Offset on `notifications`.
pub const OFFSET: &str = "postrider.offset";
/// Tenant of the recipient.
pub const TENANT: &str = "postrider.tenant";
/// How it ended: an end of a record, what became of a frame, or of an attempt.
pub const END: &str = "postrider.end";
/// Why it was parked or dead-lettered.
pub const REASON: &str = "postrider.reason";
/// The module that ran, with its version.
pub const MODULE: &str = "postrider.module";
/// Which attempt of the task it is, 1 for the first.
pub const ATTEMPT: &str = "postrider.attempt";
/// The distributor node.
pub const NODE: &str = "postrider.node";
/// The client's session.
pub const SESSION: &str = "postrider.session";
/// What kind of failure.
pub const ERROR: &str = "error.type";

/// A record went to a node.
pub const FORWARDED: &str = "forwarded";
/// A frame is not acknowledged in time.
pub const SPILLED: &str = "spilled";
/// A frame was sent once more.
pub const SENT_AGAIN: &str = "sent again";
