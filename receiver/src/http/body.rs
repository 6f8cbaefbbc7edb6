//! Reading a request body: within a limit, within a deadline, never more than that in memory.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use crate::refusal::{Reason, Refusal};

/// How long the body will be at most: its `Content-Length`, else `most_bytes`.
///
/// # Errors
/// [`Reason::BodyTooLarge`] when it says that it is longer than `most_bytes`: not a byte of it is read.
pub(super) fn announced(headers: &HeaderMap, most_bytes: usize) -> Result<usize, Refusal> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(most_bytes) };
    let length = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    match length.map(usize::try_from) {
        Some(Ok(length)) if length <= most_bytes => Ok(length),
        Some(_) => Err(too_large(most_bytes)),
        None => Err(Refusal::new(Reason::HeaderInvalid, "Content-Length is not a number")),
    }
}

/// Reads all of `body` until `deadline`.
pub(super) async fn read(body: Body, most_bytes: usize, deadline: Instant) -> Result<Bytes, Refusal> {
    match timeout_at(deadline, collect(body, most_bytes)).await {
        Ok(read) => read,
        Err(_elapsed) => Err(Refusal::plain(Reason::BodyTimeout)),
    }
}

async fn collect(mut body: Body, most_bytes: usize) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::new(Reason::BodyBroken, error))?;
        let Ok(chunk) = frame.into_data() else { continue };
        if first.len() + rest.len() + chunk.len() > most_bytes {
            return Err(too_large(most_bytes));
        }
        // A body of one chunk, as most are, is not copied.
        if first.is_empty() && rest.is_empty() {
            first = chunk;
        } else {
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&chunk);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn too_large(most_bytes: usize) -> Refusal {
    Refusal::new(Reason::BodyTooLarge, format_args!("at most {most_bytes} bytes are taken"))
}
