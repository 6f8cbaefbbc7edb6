//! The words between director and distributor: who holds a session, and what became of a forwarded record.

use std::fmt;
use std::str::FromStr;

/// A distributor process, from its start to its end. A restarted process is another node, so that nothing said of the
/// one before is believed of it. Shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// A client's session, unique for ever: what the registry compares before it deletes. Shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The text is not 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an id of 16 hexadecimal digits")]
pub struct InvalidId;

macro_rules! hex_id {
    ($name:ident) => {
        impl $name {
            /// A new one, at random.
            #[must_use]
            pub fn random() -> Self {
                Self(rand::random())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(InvalidId);
                }
                u64::from_str_radix(text, 16).map(Self).ok().ok_or(InvalidId)
            }
        }
    };
}
hex_id!(NodeId);
hex_id!(SessionId);

/// How a client names its session: with the node that holds it, so that any other node finds it without asking the
/// registry. Shown as both ids with `-` between them; the session alone is a name, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionName {
    /// The session.
    pub session: SessionId,
    /// Where it is, as far as the name says.
    pub node: Option<NodeId>,
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.session)?;
        self.node.map_or(Ok(()), |node| write!(f, "-{node}"))
    }
}

impl FromStr for SessionName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (session, node) =
            text.split_once('-').map_or((text, None), |(session, node)| (session, Some(node)));
        Ok(Self { session: session.parse()?, node: node.map(str::parse).transpose()? })
    }
}

/// What became of a forwarded record at one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client has it.
    Acknowledged,
    /// It reached its expiry before the client had it; the client was told by a `gap`.
    Expired,
    /// This session cannot take it now; it and every later one of this stream belong into the store.
    Spilled,
    /// There is no such session.
    Gone,
    /// The client refuses it for good.
    Rejected(Rejection),
}

/// Why a client refuses a notification for good. Becomes the reason of its dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// `nack` with code `reject`.
    Refused,
    /// `nack` with code `undecodable`.
    Undecodable,
}

impl Rejection {
    /// The word on the wire and in dead letters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Undecodable => "undecodable",
        }
    }
}
