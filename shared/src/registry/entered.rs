//! What the registry tells of routes that were entered, so that who remembers routes knows which of them to ask for again.

use crate::recipient::Recipient;

/// The most batches of registrations that a registry remembers. Who asks after more of them is told [`Entered::Any`].
pub(super) const REMEMBERED: usize = 10_000;

/// Whose routes were entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// Those of the recipients with these fingerprints, ascending.
    Of(Vec<Fingerprint>),
    /// Nobody knows: perhaps those of everybody.
    Any,
}

impl Entered {
    /// Takes fingerprints in any order.
    pub(super) fn of(mut fingerprints: Vec<Fingerprint>) -> Self {
        fingerprints.sort_unstable();
        fingerprints.dedup();
        Self::Of(fingerprints)
    }

    /// Whether those of the recipient with this fingerprint may be among them.
    #[must_use]
    pub fn may_be(&self, fingerprint: Fingerprint) -> bool {
        match self {
            Self::Of(fingerprints) => fingerprints.binary_search(&fingerprint).is_ok(),
            Self::Any => true,
        }
    }
}

/// A place in the order in which routes are entered. Opaque: only the registry that made it understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark(pub(super) Option<String>);

/// A recipient in 64 bits. Two may share one: then what is said of one is believed of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// That of `recipient`: FNV-1a of its key.
    #[must_use]
    pub fn of(recipient: &Recipient) -> Self {
        let key = [recipient.tenant.as_str(), "/", recipient.id.as_str()];
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(key.into_iter().flat_map(str::bytes).fold(0xcbf2_9ce4_8422_2325, step))
    }

    pub(super) fn pack(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Reads what [`Fingerprint::pack`] wrote, one behind the other; what is left over is ignored.
    pub(super) fn unpack(packed: &[u8]) -> impl Iterator<Item = Self> {
        packed.as_chunks().0.iter().map(|bytes| Self(u64::from_be_bytes(*bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_found_by_its_fingerprint_and_another_is_not() {
        let print = |key: &str| Fingerprint::of(&Recipient::parse_key(key).unwrap());
        let entered = Entered::of(vec![print("acme/bob"), print("acme/alice"), print("acme/bob")]);
        assert!(entered.may_be(print("acme/alice")) && entered.may_be(print("acme/bob")));
        assert!(!entered.may_be(print("acme/carol")) && Entered::Any.may_be(print("acme/carol")));
    }

    #[test]
    fn fingerprints_survive_a_round_trip() {
        let prints = [Fingerprint(1), Fingerprint(u64::MAX)];
        let packed: Vec<u8> = prints.iter().flat_map(|print| print.pack()).collect();
        assert!(Fingerprint::unpack(&packed).eq(prints));
    }
}
