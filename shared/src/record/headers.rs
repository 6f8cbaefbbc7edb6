//! Header names and their values, both ways.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Kind, task};
use crate::clock::{InvalidTimestamp, Timestamp};
use crate::log::Headers;
use crate::name::InvalidName;
use crate::notification::{
    ContentType, DEFAULT_TTL, Notification, NotificationId, NotificationType, Trace, Urgency,
};
use crate::recipient::Recipient;

const SPEC_VERSION: &str = "ce_specversion";
const ID: &str = "ce_id";
const SOURCE: &str = "ce_source";
const TYPE: &str = "ce_type";
const TIME: &str = "ce_time";
const CONTENT_TYPE: &str = "content-type";
const RECIPIENT: &str = "ce_recipient";
const TENANT: &str = "ce_tenant";
const EXPIRES: &str = "ce_expires";
const URGENCY: &str = "ce_urgency";
pub(super) const KIND: &str = "ce_kind";
const METADATA: &str = "ce_metadata";
const TRACE_PARENT: &str = "traceparent";
const TRACE_STATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

/// The names that every record has, or may have.
const NAMES: [&str; 15] = [
    SPEC_VERSION,
    ID,
    SOURCE,
    TYPE,
    TIME,
    CONTENT_TYPE,
    RECIPIENT,
    TENANT,
    EXPIRES,
    URGENCY,
    KIND,
    METADATA,
    TRACE_PARENT,
    TRACE_STATE,
    BAGGAGE,
];

/// `name` as headers have it: copied only when it is none of ours.
#[must_use]
pub fn header_name(name: &str) -> Cow<'static, str> {
    let own = NAMES.into_iter().find(|own| *own == name);
    own.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed)
}

/// Longest `ce_source`, in bytes.
const MAX_SOURCE_BYTES: usize = 512;
/// Longest trace header kept, in bytes; a longer one is dropped, for tracing must never cost a delivery.
const MAX_TRACE_BYTES: usize = 8192;

/// Why a record does not parse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRecord {
    /// A header that must be there is not.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header is not UTF-8.
    #[error("header {0} is not UTF-8")]
    NotText(&'static str),
    /// A header, or the key, breaks the grammar of a name.
    #[error("{0} {1}")]
    Name(&'static str, #[source] InvalidName),
    /// A header breaks another rule, in words.
    #[error("header {0} {1}")]
    Value(&'static str, String),
    /// The key is not `tenant/recipient`, or disagrees with the headers.
    #[error("the key is not the tenant/recipient of the headers")]
    Key,
}

/// Looks up headers by name.
#[derive(Clone, Copy, Debug)]
pub struct Notes<'a>(pub &'a Headers);

impl<'a> Notes<'a> {
    /// The first value of `name`.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn get(&self, name: &'static str) -> Result<Option<&'a str>, MalformedRecord> {
        let Some((_, value)) = self.0.iter().find(|(header, _)| header == name) else { return Ok(None) };
        std::str::from_utf8(value).map(Some).or(Err(MalformedRecord::NotText(name)))
    }

    /// The first value of `name`, which must be there.
    ///
    /// # Errors
    /// When it is missing or not UTF-8.
    pub fn need(&self, name: &'static str) -> Result<&'a str, MalformedRecord> {
        self.get(name)?.ok_or(MalformedRecord::Missing(name))
    }

    /// A whole number, which must be there.
    ///
    /// # Errors
    /// When it is missing or no number.
    pub fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<N, MalformedRecord> {
        self.need(name)?
            .parse()
            .map_err(|_not_a_number| MalformedRecord::Value(name, "is not a whole number".into()))
    }
}

fn text(value: impl Into<String>) -> Bytes {
    Bytes::from(value.into())
}

pub(super) fn write(notification: &Notification) -> Headers {
    let mut headers: Headers = vec![
        (SPEC_VERSION.into(), Bytes::from_static(b"1.0")),
        (ID.into(), text(notification.id.as_str())),
        (SOURCE.into(), text(notification.source.as_str())),
        (TYPE.into(), text(notification.kind.as_str())),
        (TIME.into(), text(notification.time.to_string())),
        (CONTENT_TYPE.into(), text(notification.content_type.as_str())),
        (TENANT.into(), text(notification.recipient.tenant.as_str())),
        (RECIPIENT.into(), text(notification.recipient.id.as_str())),
        (EXPIRES.into(), text(notification.expires.to_string())),
        (URGENCY.into(), Bytes::from_static(notification.urgency.as_str().as_bytes())),
        (KIND.into(), Bytes::from_static(b"notification")),
    ];
    let optional = [
        (METADATA, &notification.metadata),
        (TRACE_PARENT, &notification.trace.parent),
        (TRACE_STATE, &notification.trace.state),
        (BAGGAGE, &notification.trace.baggage),
    ];
    headers.extend(
        optional.into_iter().filter_map(|(name, value)| Some((name.into(), text(value.as_deref()?)))),
    );
    headers
}

pub(super) fn id(headers: &Headers) -> Option<&str> {
    Notes(headers).get(ID).ok().flatten()
}

pub(super) fn read(
    key: Option<&str>,
    headers: &Headers,
    content: Bytes,
) -> Result<(Kind, Notification), MalformedRecord> {
    let notes = Notes(headers);
    let recipient = recipient(key, notes)?;
    let id = NotificationId::parse(notes.need(ID)?).map_err(|error| MalformedRecord::Name(ID, error))?;
    let kind =
        NotificationType::parse(notes.need(TYPE)?).map_err(|error| MalformedRecord::Name(TYPE, error))?;
    let content_type = ContentType::parse(notes.get(CONTENT_TYPE)?.unwrap_or("application/octet-stream"))
        .map_err(|error| MalformedRecord::Name(CONTENT_TYPE, error))?;
    let source = notes.need(SOURCE)?;
    if source.is_empty() || source.len() > MAX_SOURCE_BYTES {
        return Err(MalformedRecord::Value(SOURCE, format!("is not 1 to {MAX_SOURCE_BYTES} bytes long")));
    }
    let time = timestamp(TIME, notes.need(TIME)?)?;
    let expires = match notes.get(EXPIRES)? {
        Some(value) => timestamp(EXPIRES, value)?,
        None => time.after(DEFAULT_TTL),
    };
    let urgency = match notes.get(URGENCY)? {
        Some(word) => Urgency::parse(word)
            .ok_or_else(|| MalformedRecord::Value(URGENCY, "is not very-low, low, normal or high".into()))?,
        None => Urgency::default(),
    };
    let asks = match notes.get(KIND)? {
        None | Some("notification") => Kind::Notification,
        Some("task") => Kind::Task,
        Some(_) => return Err(MalformedRecord::Value(KIND, "is neither notification nor task".into())),
    };
    let asks = task::kind(asks, notes.get(task::TASK)?.is_some());
    let notification = Notification {
        id,
        recipient,
        source: source.to_owned(),
        kind,
        time,
        expires,
        urgency,
        content_type,
        metadata: notes.get(METADATA)?.map(str::to_owned),
        trace: trace(notes),
        content,
    };
    Ok((asks, notification))
}

fn recipient(key: Option<&str>, notes: Notes<'_>) -> Result<Recipient, MalformedRecord> {
    let recipient = Recipient::parse_key(key.ok_or(MalformedRecord::Key)?)
        .map_err(|error| MalformedRecord::Name("the key", error))?;
    let agrees = |name, own: &str| Ok(notes.get(name)?.is_none_or(|stated| stated == own));
    if agrees(TENANT, recipient.tenant.as_str())? && agrees(RECIPIENT, recipient.id.as_str())? {
        Ok(recipient)
    } else {
        Err(MalformedRecord::Key)
    }
}

fn timestamp(name: &'static str, value: &str) -> Result<Timestamp, MalformedRecord> {
    Timestamp::parse_rfc3339(value)
        .map_err(|error: InvalidTimestamp| MalformedRecord::Value(name, format!("is {error}")))
}

fn trace(notes: Notes<'_>) -> Trace {
    // A bad trace header is dropped, not refused: tracing must never cost a delivery.
    let keep = |name| {
        notes.get(name).ok().flatten().filter(|value| value.len() <= MAX_TRACE_BYTES).map(str::to_owned)
    };
    Trace { parent: keep(TRACE_PARENT), state: keep(TRACE_STATE), baggage: keep(BAGGAGE) }
}
