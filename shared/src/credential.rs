//! A producer's secret: how it is made, written, read and hashed. The command line makes them, the receiver reads them;
//! the store only ever sees the hash.
//!
//! As text: `prk_<id>_<secret>`, the id 16 and the secret 64 lower-case hexadecimal digits. The prefix lets scanners
//! find a leaked one; the id lets a person revoke a key without knowing its secret.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::clock::Timestamp;
use crate::config::Secret;
use crate::recipient::TenantId;
use crate::store::ApiKey;

const PREFIX: &str = "prk_";
const ID_BYTES: usize = 8;
/// 256 bits: nothing that can be guessed, so a plain hash of it is safe at rest.
const SECRET_BYTES: usize = 32;

/// A producer's secret with its public id. Never shown by `Debug`.
#[derive(Clone)]
pub struct ApiSecret {
    id: String,
    secret: [u8; SECRET_BYTES],
}

/// The text is no producer's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an API key of the form prk_<id>_<secret>")]
pub struct InvalidApiSecret;

impl ApiSecret {
    /// The length of the text, in bytes.
    pub const TEXT_BYTES: usize = PREFIX.len() + 2 * ID_BYTES + 1 + 2 * SECRET_BYTES;

    /// Makes a new secret for `tenant`, and the key that the store keeps of it.
    #[must_use]
    pub fn generate(
        tenant: TenantId,
        label: String,
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> (ApiKey, Self) {
        let fresh =
            Self { id: hex(&rand::random::<[u8; ID_BYTES]>()), secret: rand::random::<[u8; SECRET_BYTES]>() };
        let key = ApiKey {
            id: fresh.id.clone(),
            hash: fresh.hash(),
            tenant,
            label,
            created,
            expires,
            revoked: None,
        };
        (key, fresh)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When it is not of the form that [`ApiSecret::text`] writes.
    pub fn parse(text: &str) -> Result<Self, InvalidApiSecret> {
        let (id, secret) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(InvalidApiSecret)?;
        unhex::<ID_BYTES>(id).ok_or(InvalidApiSecret)?;
        Ok(Self { id: id.to_owned(), secret: unhex(secret).ok_or(InvalidApiSecret)? })
    }

    /// The text that is handed to the producer, once.
    #[must_use]
    pub fn text(&self) -> Secret {
        Secret::new(format!("{PREFIX}{}_{}", self.id, hex(&self.secret)))
    }

    /// The key's public id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// SHA-256 of the secret: what the store keeps and looks up.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// Whether this is the secret of `key`, in time that does not depend on where they differ.
    #[must_use]
    pub fn opens(&self, key: &ApiKey) -> bool {
        let hash = self.hash().ct_eq(&key.hash);
        (hash & self.id.as_bytes().ct_eq(key.id.as_bytes())).into()
    }
}

impl fmt::Debug for ApiSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_***", self.id)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| DIGITS[usize::from(digit)] as char)
        .collect()
}

/// Exactly `N` bytes, lower-case digits only, so that one secret has one text.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (ApiKey, ApiSecret) {
        ApiSecret::generate(TenantId::parse("acme").unwrap(), "ci".into(), Timestamp::from_millis(7), None)
    }

    #[test]
    fn a_secret_survives_a_round_trip_and_opens_its_own_key_only() {
        let ((key, secret), (other, _)) = (fresh(), fresh());
        let text = secret.text();
        assert_eq!(text.expose().len(), ApiSecret::TEXT_BYTES);
        let read = ApiSecret::parse(text.expose()).unwrap();
        assert_eq!((read.id(), read.hash()), (key.id.as_str(), key.hash));
        assert!(read.opens(&key) && !read.opens(&other));
    }

    #[test]
    fn a_key_with_another_id_is_not_opened_by_the_right_secret() {
        let (mut key, secret) = fresh();
        key.id = "0000000000000000".into();
        assert!(!secret.opens(&key));
    }

    #[test]
    fn any_other_text_is_refused() {
        let text = fresh().1.text().expose().to_owned();
        let cut = &text[..text.len() - 1];
        for bad in [
            "",
            "prk_",
            "prk__",
            cut,
            &text.to_uppercase(),
            &format!("{text}0"),
            &text.replace("prk_", "sk_"),
        ] {
            assert!(ApiSecret::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = fresh().1;
        let shown = format!("{secret:?}");
        assert!(shown.ends_with("_***") && shown.len() < 32, "{shown}");
    }
}
