//! What every operation does before it looks at its body: who is it, may it have the memory, is the body there in time.

use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use shared::clock::Timestamp;
use shared::notification::{NotificationId, Trace};
use shared::recipient::TenantId;
use tokio::time::{Instant, timeout_at};

use super::{Edge, body};
use crate::admission::Terms;
use crate::bound::Bound;
use crate::publish::Reservation;
use crate::refusal::{Reason, Refusal};

/// The least that a request weighs, whatever its body: what its handling allocates.
const LEAST_BYTES: usize = 4096;

/// A request that was taken in.
pub(super) struct Intake {
    pub(super) tenant: TenantId,
    /// The key's public id.
    pub(super) key_id: String,
    pub(super) body: Bytes,
    pub(super) trace: Trace,
    pub(super) now: Timestamp,
    pub(super) reservation: Reservation,
    pub(super) deadline: Instant,
}

impl Intake {
    /// What holds for every notification of the request.
    pub(super) fn terms<'a>(&'a self, edge: &'a Edge, bound: &'a Bound) -> Terms<'a> {
        Terms { tenant: &self.tenant, trace: &self.trace, now: self.now, config: &edge.config, bound }
    }
}

/// Takes a request in, with at most `most_bytes` of body. `check` looks at the headers before the body is read.
pub(super) async fn take(
    edge: &Edge,
    request: Request,
    most_bytes: usize,
    check: impl FnOnce(&HeaderMap) -> Result<(), Refusal>,
) -> Result<Intake, Refusal> {
    let begun = Instant::now();
    let deadline = begun + edge.config.deadline_ms;
    let (mut parts, body) = request.into_parts();
    let trace = parts.extensions.remove::<Trace>().unwrap_or_default();
    let headers = parts.headers;
    let key = match timeout_at(deadline, edge.authenticator.key(&headers)).await {
        Ok(answer) => answer?,
        Err(_elapsed) => return Err(Refusal::plain(Reason::CredentialsUnavailable)),
    };
    refuse_what_is_not_kept(&headers)?;
    check(&headers)?;
    let announced = body::announced(&headers, most_bytes)?;
    let reservation = Reservation::of(&edge.memory, announced.max(LEAST_BYTES))?;
    let body = body::read(body, most_bytes, deadline.min(begun + edge.config.http.body_ms)).await?;
    let (tenant, key_id) = (key.tenant.clone(), key.id.clone());
    Ok(Intake { tenant, key_id, body, trace, now: edge.clock.now(), reservation, deadline })
}

/// What a producer may rely on and this version would not keep is refused, not ignored.
fn refuse_what_is_not_kept(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key("idempotency-key") {
        return Err(Refusal::plain(Reason::IdempotencyNotSupported));
    }
    if headers.contains_key("topic") {
        return Err(Refusal::new(Reason::NotSupported, "the header Topic (RFC 8030) is not supported yet"));
    }
    match text(headers, header::CONTENT_ENCODING.as_str())? {
        None => Ok(()),
        Some(coding) if coding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(coding) => Err(Refusal::new(Reason::ContentCodingUnsupported, coding)),
    }
}

/// The header `name` as text, when it is there.
///
/// # Errors
/// [`Reason::HeaderInvalid`] when it is there twice or is not visible ASCII.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::new(Reason::HeaderInvalid, format_args!("{name} is there twice")));
    }
    value.to_str().map(|text| Some(text.trim())).map_err(|_not_ascii| {
        Refusal::new(Reason::HeaderInvalid, format_args!("{name} is not visible ASCII"))
    })
}

/// A new id: UUID version 7 (RFC 9562) of `now`.
pub(super) fn new_id(now: Timestamp) -> Result<NotificationId, Refusal> {
    let id = uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &rand::random()).into_uuid();
    NotificationId::parse(&id.to_string()).map_err(|error| Refusal::new(Reason::Internal, error))
}
