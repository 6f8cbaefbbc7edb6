//! The claims of a client token, and making one: for the command line, for tests, and as the example to follow.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Deserializer, Serialize};
use shared::config::Secret;

/// What a client token says (RFC 7519, section 4). `sub`, `tenant` and `exp` must be there; other claims are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The recipient.
    pub sub: String,
    /// The recipient's tenant.
    pub tenant: String,
    /// When it expires, in seconds since the Unix epoch.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: u64,
    /// Before when it is not valid, in seconds since the Unix epoch.
    #[serde(default, deserialize_with = "numeric_date_if_any", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Who issued it. Checked by the verifier's own reading.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// For whom it is. Checked by the verifier's own reading.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be signed")]
pub struct MintError(#[source] jsonwebtoken::errors::Error);

/// Signs `claims` with HS256.
///
/// # Errors
/// When the claims cannot be written.
pub fn mint(claims: &Claims, secret: &Secret) -> Result<String, MintError> {
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).map_err(MintError)
}

/// A `NumericDate` may have a fraction; the second it lies in is exact enough.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let whole = number.as_u64().or_else(|| {
        // The cast saturates, and what is left of it is whole and not negative.
        number.as_f64().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64)
    });
    whole.ok_or_else(|| serde::de::Error::custom("is no time after 1970"))
}

fn numeric_date_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    numeric_date(deserializer).map(Some)
}
