//! Client tokens of this load.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

/// How long a token is good: longer than any run.
const SECONDS: u64 = 24 * 3600;

/// What signs tokens. It travels to workers over a pipe and is nowhere else.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Signer {
    /// HS256.
    Secret(String),
    /// EdDSA, an Ed25519 private key in PEM.
    Ed25519(String),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// Makes tokens.
pub(crate) struct Mint {
    header: Header,
    key: EncodingKey,
    expires: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    tenant: &'static str,
    exp: u64,
}

impl Mint {
    /// Reads the key.
    ///
    /// # Errors
    /// When it is no Ed25519 key.
    pub(crate) fn new(signer: &Signer) -> anyhow::Result<Self> {
        let (algorithm, key) = match signer {
            Signer::Secret(secret) => (Algorithm::HS256, EncodingKey::from_secret(secret.as_bytes())),
            Signer::Ed25519(pem) => (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem.as_bytes())?),
        };
        let now = u64::try_from(jiff::Timestamp::now().as_second())?;
        Ok(Self { header: Header::new(algorithm), key, expires: now + SECONDS })
    }

    /// A token of `recipient` of the default tenant.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub(crate) fn token(&self, recipient: &str) -> anyhow::Result<String> {
        let claims = Claims { sub: recipient, tenant: "default", exp: self.expires };
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.key)?)
    }
}

/// The recipient that client `number` of a load is.
pub(crate) fn recipient(run: &str, number: u64) -> String {
    format!("{run}-{number}")
}
