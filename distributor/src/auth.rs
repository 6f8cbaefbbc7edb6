//! Who a client is: signed tokens (JWT, RFC 7519) with one fixed algorithm, one-time tickets made from them, and which
//! origins a browser may come from. The transports ask; nothing here knows HTTP.

mod claims;
mod origin;
mod ticket;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use shared::clock::Timestamp;
use shared::config::{Mistakes, Secret, Section};
use shared::recipient::{Recipient, RecipientId, TenantId};

pub use claims::{Claims, MintError, mint};
pub use origin::Origins;
pub use ticket::{TicketRefused, Tickets, Use};

/// The shortest secret of HS256, in bytes: as long as its digest (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How tokens are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningAlgorithm {
    /// HMAC with SHA-256: who can verify can sign.
    #[default]
    HS256,
    /// Ed25519: the signer keeps the private key.
    EdDSA,
}

/// Section `[auth]`: how client tokens are verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The one algorithm that is accepted.
    pub algorithm: SigningAlgorithm,
    /// The shared secret of HS256; at least [`MIN_SECRET_BYTES`].
    pub secret: Secret,
    /// The public key of EdDSA, PEM (SubjectPublicKeyInfo).
    pub public_key: String,
    /// The issuer that tokens must name; empty: any.
    pub issuer: String,
    /// The audience that tokens must name; empty: none may be named.
    pub audience: String,
    /// How far clocks may differ, in seconds.
    pub leeway_s: u64,
    /// Origins that browsers may come from, exact (`https://app.example.org`). Requests without `Origin`, and those
    /// of the same host, are always let in.
    pub allowed_origins: Vec<String>,
    /// How long a ticket waits for its first use.
    #[serde(with = "shared::config::millis")]
    pub ticket_ttl_ms: std::time::Duration,
    /// Most tickets that this node remembers.
    pub tickets: usize,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            algorithm: SigningAlgorithm::HS256,
            secret: Secret::default(),
            public_key: String::new(),
            issuer: String::new(),
            audience: String::new(),
            leeway_s: 30,
            allowed_origins: Vec::new(),
            ticket_ttl_ms: std::time::Duration::from_secs(30),
            tickets: 100_000,
        }
    }
}

impl Section for AuthSettings {
    const NAME: &'static str = "auth";

    /// A key that is missing is not reported here but by [`Authenticator::new`]: one process for everything makes its
    /// own secret on its first start.
    fn check(&self, mistakes: &mut Mistakes) {
        if !self.secret.is_empty() && !self.public_key.is_empty() {
            mistakes.report("public_key", "cannot stand beside a secret: one key, one algorithm");
        }
        match self.algorithm {
            SigningAlgorithm::HS256 if !self.public_key.is_empty() => {
                mistakes.report("public_key", "needs algorithm = \"EdDSA\"");
            }
            SigningAlgorithm::EdDSA if !self.secret.is_empty() => {
                mistakes.report("secret", "needs algorithm = \"HS256\"");
            }
            SigningAlgorithm::HS256 | SigningAlgorithm::EdDSA => {}
        }
        let bytes = self.secret.expose().len();
        if (1..MIN_SECRET_BYTES).contains(&bytes) {
            mistakes.report("secret", format_args!("has {bytes} bytes, must have {MIN_SECRET_BYTES}"));
        }
        mistakes.within("leeway_s", self.leeway_s, 0..=600);
        mistakes.within("tickets", self.tickets, 1..=10_000_000);
        for origin in self.allowed_origins.iter().filter(|origin| !origin::is_origin(origin)) {
            mistakes
                .report("allowed_origins", format_args!("{origin:?} is no origin (scheme://host[:port])"));
        }
    }
}

/// The settings give no key to verify with. There is no mode without one.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Nothing configured.
    #[error("no key to verify client tokens with: set auth.secret (HS256) or auth.public_key (EdDSA)")]
    Missing,
    /// Not PEM of an Ed25519 key.
    #[error("auth.public_key is no Ed25519 public key in PEM")]
    PublicKey(#[source] jsonwebtoken::errors::Error),
    /// The secret can be guessed.
    #[error("auth.secret is shorter than 32 bytes")]
    SecretTooShort,
}

/// Whom a token speaks for, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The recipient whose notifications may be read.
    pub recipient: Recipient,
    /// When the right ends.
    pub expires: Timestamp,
}

/// Why a token is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// None was given.
    #[error("no token was given")]
    Missing,
    /// Not a JWT, or not with the claims that are needed.
    #[error("is no token with sub, tenant and exp")]
    Malformed,
    /// Signed otherwise than configured.
    #[error("is signed with another algorithm than this server accepts")]
    Algorithm,
    /// Not signed by the key.
    #[error("has a signature that does not verify")]
    Signature,
    /// Past its `exp`.
    #[error("has expired")]
    Expired,
    /// Before its `nbf`.
    #[error("is not valid yet")]
    NotYet,
    /// Another issuer or audience.
    #[error("is from another issuer or for another audience")]
    Elsewhere,
    /// `sub` or `tenant` is no name of ours.
    #[error("names a recipient or tenant outside the grammar")]
    Name,
    /// A ticket that is unknown, used or too old.
    #[error("is a ticket that is unknown, used or too old")]
    Ticket,
}

/// Verifies tokens.
pub struct Authenticator {
    key: DecodingKey,
    validation: Validation,
    leeway: std::time::Duration,
}

impl Authenticator {
    /// With the key of the settings.
    ///
    /// # Errors
    /// When there is none, or none that can be used.
    pub fn new(settings: &AuthSettings) -> Result<Self, KeyError> {
        let (key, algorithm) = match settings.algorithm {
            SigningAlgorithm::HS256 if settings.secret.is_empty() => return Err(KeyError::Missing),
            SigningAlgorithm::HS256 if settings.secret.expose().len() < MIN_SECRET_BYTES => {
                return Err(KeyError::SecretTooShort);
            }
            SigningAlgorithm::HS256 => {
                (DecodingKey::from_secret(settings.secret.expose().as_bytes()), Algorithm::HS256)
            }
            SigningAlgorithm::EdDSA if settings.public_key.is_empty() => return Err(KeyError::Missing),
            SigningAlgorithm::EdDSA => {
                let key = DecodingKey::from_ed_pem(settings.public_key.as_bytes());
                (key.map_err(KeyError::PublicKey)?, Algorithm::EdDSA)
            }
        };
        let mut validation = Validation::new(algorithm);
        // Time is checked by `verify`, with the clock it is handed.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.required_spec_claims.clear();
        if !settings.issuer.is_empty() {
            validation.set_issuer(&[&settings.issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        if !settings.audience.is_empty() {
            validation.set_audience(&[&settings.audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        Ok(Self { key, validation, leeway: std::time::Duration::from_secs(settings.leeway_s) })
    }

    /// Whom `token` speaks for at `now`.
    ///
    /// # Errors
    /// Says why it is no good. [`Denied::Expired`] is said only of a token that was good.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Identity, Denied> {
        if token.is_empty() {
            return Err(Denied::Missing);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Denied::Malformed);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| denial(error.kind()))?
            .claims;
        let tenant = TenantId::parse(&claims.tenant).map_err(|_grammar| Denied::Name)?;
        let id = RecipientId::parse(&claims.sub).map_err(|_grammar| Denied::Name)?;
        let expires = Timestamp::from_millis(claims.exp.saturating_mul(1000)).after(self.leeway);
        if expires <= now {
            return Err(Denied::Expired);
        }
        let not_before = Timestamp::from_millis(claims.nbf.unwrap_or(0).saturating_mul(1000));
        if not_before > now.after(self.leeway) {
            return Err(Denied::NotYet);
        }
        Ok(Identity { recipient: Recipient::new(tenant, id), expires })
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("algorithms", &self.validation.algorithms)
            .finish_non_exhaustive()
    }
}

fn denial(kind: &ErrorKind) -> Denied {
    match kind {
        ErrorKind::InvalidSignature => Denied::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Denied::Algorithm,
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => Denied::Elsewhere,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" || claim == "aud" => Denied::Elsewhere,
        // The library's list is open; whatever else it finds makes the token unreadable.
        _ => Denied::Malformed,
    }
}

#[cfg(test)]
mod tests;
