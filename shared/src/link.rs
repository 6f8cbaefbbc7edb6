//! The wire between director and distributor ([`wire`], generated from `proto/link.proto`) and its translation into the
//! vocabulary.

pub mod outgoing;

use subtle::ConstantTimeEq as _;
use tonic::metadata::errors::InvalidMetadataValue;

use crate::clock::Timestamp;
use crate::config::Secret;
use crate::delivery::{Rejection, SessionId, Verdict};
use crate::name::InvalidName;
use crate::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use crate::position::{Cursor, Epoch, PartitionId, Position};
use crate::recipient::{Recipient, RecipientId, TenantId};

/// Generated messages, client and server.
#[expect(
    missing_docs,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    reason = "generated; documented in proto/link.proto"
)]
pub mod wire {
    tonic::include_proto!("postrider.link.v1");
}

/// A frame that the other side could not have meant.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFrame {
    /// A part that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A name breaks its grammar.
    #[error("{0} {1}")]
    Name(&'static str, #[source] InvalidName),
    /// A number outside its range.
    #[error("{0} is out of range")]
    Range(&'static str),
}

/// A record as the distributor receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Its position.
    pub position: Position,
    /// How far `parked` must be drained before it.
    pub parked_upto: u64,
    /// The notification.
    pub notification: Notification,
}

impl From<Position> for wire::Position {
    fn from(position: Position) -> Self {
        Self { epoch: position.epoch.0, partition: position.partition.0, offset: position.offset }
    }
}

impl From<wire::Position> for Position {
    fn from(position: wire::Position) -> Self {
        Self {
            epoch: Epoch(position.epoch),
            partition: PartitionId(position.partition),
            offset: position.offset,
        }
    }
}

/// The frame that forwards `notification`. The content is shared, not copied.
#[must_use]
pub fn record(
    session: SessionId,
    position: Position,
    parked_upto: u64,
    notification: &Notification,
) -> wire::Frame {
    let record = wire::Record {
        position: Some(position.into()),
        parked_upto,
        id: notification.id.as_str().to_owned(),
        tenant: notification.recipient.tenant.as_str().to_owned(),
        recipient: notification.recipient.id.as_str().to_owned(),
        source: notification.source.clone(),
        kind: notification.kind.as_str().to_owned(),
        content_type: notification.content_type.as_str().to_owned(),
        time_ms: notification.time.as_millis(),
        expires_ms: notification.expires.as_millis(),
        urgency: notification.urgency as u32,
        metadata: notification.metadata.clone(),
        traceparent: notification.trace.parent.clone(),
        tracestate: notification.trace.state.clone(),
        baggage: notification.trace.baggage.clone(),
        content: notification.content.clone(),
    };
    wire::Frame { session: session.0, body: Some(wire::frame::Body::Record(record)) }
}

/// The frame that pokes `session`.
#[must_use]
pub fn poke(session: SessionId, parked_upto: u64) -> wire::Frame {
    wire::Frame { session: session.0, body: Some(wire::frame::Body::Poke(wire::Poke { parked_upto })) }
}

/// The frame that lets `session` take records of this stream again.
#[must_use]
pub fn resume(session: SessionId) -> wire::Frame {
    wire::Frame { session: session.0, body: Some(wire::frame::Body::Resume(wire::Resume {})) }
}

impl TryFrom<wire::Record> for Forwarded {
    type Error = InvalidFrame;

    fn try_from(record: wire::Record) -> Result<Self, InvalidFrame> {
        let named = |name| move |error| InvalidFrame::Name(name, error);
        let urgencies = [Urgency::VeryLow, Urgency::Low, Urgency::Normal, Urgency::High];
        let notification = Notification {
            id: NotificationId::parse(&record.id).map_err(named("id"))?,
            recipient: Recipient::new(
                TenantId::parse(&record.tenant).map_err(named("tenant"))?,
                RecipientId::parse(&record.recipient).map_err(named("recipient"))?,
            ),
            source: record.source,
            kind: NotificationType::parse(&record.kind).map_err(named("kind"))?,
            time: Timestamp::from_millis(record.time_ms),
            expires: Timestamp::from_millis(record.expires_ms),
            urgency: *urgencies.get(record.urgency as usize).ok_or(InvalidFrame::Range("urgency"))?,
            content_type: ContentType::parse(&record.content_type).map_err(named("content_type"))?,
            metadata: record.metadata,
            trace: Trace { parent: record.traceparent, state: record.tracestate, baggage: record.baggage },
            content: record.content,
        };
        let position = record.position.ok_or(InvalidFrame::Missing("position"))?.into();
        Ok(Self { position, parked_upto: record.parked_upto, notification })
    }
}

/// The frame that answers a record.
#[must_use]
pub fn verdict(session: SessionId, position: Position, verdict: &Verdict) -> wire::VerdictFrame {
    use wire::verdict_frame::Kind;
    let kind = match verdict {
        Verdict::Acknowledged => Kind::Acknowledged,
        Verdict::Expired => Kind::Expired,
        Verdict::Spilled => Kind::Spilled,
        Verdict::Gone => Kind::Gone,
        Verdict::Rejected(Rejection::Refused) => Kind::Refused,
        Verdict::Rejected(Rejection::Undecodable) => Kind::Undecodable,
    };
    wire::VerdictFrame { session: session.0, position: Some(position.into()), kind: kind.into() }
}

/// Reads an answer.
///
/// # Errors
/// When the position is missing or the kind is none of this version's.
pub fn read_verdict(frame: wire::VerdictFrame) -> Result<(SessionId, Position, Verdict), InvalidFrame> {
    use wire::verdict_frame::Kind;
    let verdict = match frame.kind() {
        Kind::Unspecified => return Err(InvalidFrame::Range("kind")),
        Kind::Acknowledged => Verdict::Acknowledged,
        Kind::Expired => Verdict::Expired,
        Kind::Spilled => Verdict::Spilled,
        Kind::Gone => Verdict::Gone,
        Kind::Refused => Verdict::Rejected(Rejection::Refused),
        Kind::Undecodable => Verdict::Rejected(Rejection::Undecodable),
    };
    let position = frame.position.ok_or(InvalidFrame::Missing("position"))?;
    Ok((SessionId(frame.session), position.into(), verdict))
}

/// Reads an acknowledgement that another node passes on.
///
/// # Errors
/// When a name breaks its grammar or the cursor is none.
pub fn read_acknowledgement(
    frame: &wire::Acknowledgement,
) -> Result<(Recipient, SessionId, Cursor), InvalidFrame> {
    let named = |name| move |error| InvalidFrame::Name(name, error);
    let recipient = Recipient::new(
        TenantId::parse(&frame.tenant).map_err(named("tenant"))?,
        RecipientId::parse(&frame.recipient).map_err(named("recipient"))?,
    );
    let cursor = Cursor::decode(&frame.cursor).map_err(|_why| InvalidFrame::Range("cursor"))?;
    Ok((recipient, SessionId(frame.session), cursor))
}

const AUTHORIZATION: &str = "authorization";

/// Shows a node the secret that directors and nodes share; an empty one is not shown.
///
/// # Errors
/// When the secret is not visible ASCII.
pub fn show_secret<T>(request: &mut tonic::Request<T>, secret: &Secret) -> Result<(), InvalidMetadataValue> {
    if !secret.is_empty() {
        request.metadata_mut().insert(AUTHORIZATION, format!("Bearer {}", secret.expose()).parse()?);
    }
    Ok(())
}

/// Whether a director showed the secret. An empty one asks for nothing.
#[must_use]
pub fn shows_secret<T>(request: &tonic::Request<T>, secret: &Secret) -> bool {
    let shown = request.metadata().get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let shown = shown.strip_prefix(b"Bearer ").unwrap_or_default();
    secret.is_empty() || shown.ct_eq(secret.expose().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_lets_in_and_an_empty_one_asks_for_nothing() {
        let (own, other, none) = (Secret::new("own".into()), Secret::new("other".into()), Secret::default());
        let shown = |secret: &Secret| {
            let mut request = tonic::Request::new(());
            show_secret(&mut request, secret).unwrap();
            request
        };
        assert!(shows_secret(&shown(&own), &own));
        assert!(!shows_secret(&shown(&other), &own) && !shows_secret(&shown(&none), &own));
        assert!(shows_secret(&shown(&other), &none) && shows_secret(&shown(&none), &none));
    }
}
