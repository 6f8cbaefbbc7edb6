//! Who a notification is for: a recipient inside a tenant, and the key that both make on the log.

use std::fmt;

use crate::name::{InvalidName, name};

name! {
    /// A tenant: the wall nobody sees across. Lower-case letters, digits and `-`, at most 63 bytes.
    TenantId, 63, "a-z 0-9 -", |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

name! {
    /// A recipient's name inside its tenant. URL-unreserved characters and `@ : +`, at most 128 bytes; neither `/`
    /// nor `#`, which separate the parts of a log key.
    RecipientId, 128, "A-Z a-z 0-9 - . _ ~ @ : +", |byte| byte.is_ascii_alphanumeric() || b"-._~@:+".contains(&byte)
}

/// A recipient and its tenant: what a notification is addressed to and a session is opened for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient {
    /// The tenant.
    pub tenant: TenantId,
    /// The name inside it.
    pub id: RecipientId,
}

impl Recipient {
    /// Puts the two together.
    #[must_use]
    pub fn new(tenant: TenantId, id: RecipientId) -> Self {
        Self { tenant, id }
    }

    /// The key of this recipient's records on the log: `tenant/recipient`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.tenant, self.id)
    }

    /// Reads a key of the form `tenant/recipient`.
    ///
    /// # Errors
    /// When a part breaks its grammar or the slash is missing.
    pub fn parse_key(key: &str) -> Result<Self, InvalidName> {
        let (tenant, id) = key.split_once('/').ok_or(InvalidName::Empty)?;
        Ok(Self { tenant: TenantId::parse(tenant)?, id: RecipientId::parse(id)? })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.id)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_survives_a_round_trip() {
        let recipient = Recipient::parse_key("acme/alice@example.org").unwrap();
        assert_eq!(recipient.key(), "acme/alice@example.org");
    }

    #[test]
    fn a_second_slash_is_no_recipient() {
        assert!(matches!(Recipient::parse_key("acme/a/b"), Err(InvalidName::Character { at: 1, .. })));
    }

    #[test]
    fn the_longest_recipient_is_accepted_and_one_more_byte_is_not() {
        assert!(RecipientId::parse(&"a".repeat(128)).is_ok());
        assert_eq!(RecipientId::parse(&"a".repeat(129)), Err(InvalidName::TooLong { max_bytes: 128 }));
    }
}
