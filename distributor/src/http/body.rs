//! Reading a small request body within its limits.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::problem::Refusal;
use super::settings::EdgeSettings;

/// The whole body.
pub(super) async fn read(body: Body, settings: &EdgeSettings) -> Result<Bytes, Refusal> {
    let collected = Limited::new(body, settings.body_bytes).collect();
    match tokio::time::timeout(settings.body_ms, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(error)) => Err(Refusal::Body(format!("cannot be read: {error}"))),
        Err(_elapsed) => Err(Refusal::BodyTimeout),
    }
}
