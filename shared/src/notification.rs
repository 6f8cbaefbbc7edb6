//! What a producer sends: a notification, its content untouched, and the words around it.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::name::name;
use crate::recipient::Recipient;

name! {
    /// Identifies a notification for its whole life; the CloudEvents `id`. Visible ASCII without quotes and
    /// backslash, at most 128 bytes. The receiver makes UUID version 7 (RFC 9562); a producer that writes to the log
    /// itself may choose its own.
    NotificationId, 128, "visible ASCII but \" and \\",
    |byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

name! {
    /// What kind of thing happened; the CloudEvents `type`, for example `order.shipped`. At most 128 bytes.
    NotificationType, 128, "A-Z a-z 0-9 - . _ : /", |byte| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte)
}

name! {
    /// A media type with its parameters (RFC 9110, section 8.3.1), for example `application/json`. At most 255 bytes.
    ContentType, 255, "printable ASCII", |byte| byte == b' ' || byte.is_ascii_graphic()
}

/// How much a notification may cost the device that receives it (RFC 8030, section 5.3). Orders from the least urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// Advertisements.
    VeryLow,
    /// Topic updates.
    Low,
    /// Chat and calendar.
    #[default]
    Normal,
    /// Incoming call, time-sensitive alert.
    High,
}

impl Urgency {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::VeryLow, Self::Low, Self::Normal, Self::High]
            .into_iter()
            .find(|urgency| urgency.as_str() == word)
    }
}

/// W3C Trace Context as it came in; carried on, never interpreted on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// `traceparent`.
    pub parent: Option<String>,
    /// `tracestate`.
    pub state: Option<String>,
    /// `baggage`.
    pub baggage: Option<String>,
}

/// A notification. Cloning shares the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its identity.
    pub id: NotificationId,
    /// Whom it is for.
    pub recipient: Recipient,
    /// CloudEvents `source`: who produced it, a URI reference.
    pub source: String,
    /// CloudEvents `type`.
    pub kind: NotificationType,
    /// When it was accepted.
    pub time: Timestamp,
    /// When it stops being worth delivering; always set, see [`MAX_TTL`].
    pub expires: Timestamp,
    /// RFC 8030 urgency.
    pub urgency: Urgency,
    /// Media type of `content`.
    pub content_type: ContentType,
    /// The producer's own words about it, a JSON object as text, if any.
    pub metadata: Option<String>,
    /// Trace context.
    pub trace: Trace,
    /// The content, untouched.
    pub content: Bytes,
}

/// The longest a notification may live: 28 days, so that expiry by week keeps a handful of partitions.
pub const MAX_TTL: Duration = Duration::from_secs(28 * 24 * 3600);

/// How long a notification lives when its producer does not say.
pub const DEFAULT_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

impl Notification {
    /// Whether it is past its expiry at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires <= now
    }
}
