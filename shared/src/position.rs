//! Where a record stands on the log, and the opaque cursor that clients carry.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::leb128;

/// A partition of a topic, from zero. The same key has the same partition in every topic of one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The generation of the topics; grows when they are rebuilt or repartitioned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

/// The position of a record of the `notifications` topic: strictly increasing for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Generation of the topic.
    pub epoch: Epoch,
    /// Partition.
    pub partition: PartitionId,
    /// Offset in the partition.
    pub offset: u64,
}

impl fmt::Display for Position {
    /// `epoch-partition-offset`: the id of a dead letter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.epoch.0, self.partition, self.offset)
    }
}

/// The text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a position of the form epoch-partition-offset")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    /// Reads what `Display` writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(InvalidPosition);
        let (epoch, partition, offset) = (part()?, part()?, part()?);
        let narrow = |part: &str| part.parse::<u32>().ok().ok_or(InvalidPosition);
        let offset = offset.parse().ok().ok_or(InvalidPosition)?;
        let read = Self { epoch: Epoch(narrow(epoch)?), partition: PartitionId(narrow(partition)?), offset };
        if read.to_string() == text { Ok(read) } else { Err(InvalidPosition) }
    }
}

/// How far a client has come: everything of its partition below `next` is behind it.
///
/// As text it is opaque: URL-safe base64 without padding of a version byte, epoch, partition and `next` as LEB128,
/// and a checksum byte, so that a truncated or invented cursor is recognised instead of trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Generation of the topic.
    pub epoch: Epoch,
    /// Partition.
    pub partition: PartitionId,
    /// The first offset not behind the client.
    pub next: u64,
}

/// The text is no cursor of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor")]
pub struct InvalidCursor;

const VERSION: u8 = 1;

impl Cursor {
    /// The longest text of a cursor, in bytes.
    pub const MAX_BYTES: usize = 36;

    /// The cursor of a client that has seen nothing of `partition`.
    #[must_use]
    pub const fn start(epoch: Epoch, partition: PartitionId) -> Self {
        Self { epoch, partition, next: 0 }
    }

    /// The cursor of a client that has processed `position` and everything before it.
    #[must_use]
    pub const fn after(position: Position) -> Self {
        Self { epoch: position.epoch, partition: position.partition, next: position.offset + 1 }
    }

    /// Whether `position` is behind this cursor.
    #[must_use]
    pub fn covers(&self, position: Position) -> bool {
        (position.epoch, position.offset) < (self.epoch, self.next)
    }

    /// The opaque text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(24);
        bytes.push(VERSION);
        for number in [u64::from(self.epoch.0), u64::from(self.partition.0), self.next] {
            leb128::write(&mut bytes, number);
        }
        bytes.push(checksum(&bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the opaque text.
    ///
    /// # Errors
    /// When it is not one that [`Cursor::encode`] wrote.
    pub fn decode(text: &str) -> Result<Self, InvalidCursor> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().ok_or(InvalidCursor)?;
        let (check, body) = bytes.split_last().ok_or(InvalidCursor)?;
        if checksum(body) != *check || body.first() != Some(&VERSION) {
            return Err(InvalidCursor);
        }
        let mut rest = &body[1..];
        let mut number = || leb128::read(&mut rest).ok_or(InvalidCursor);
        let (epoch, partition, next) = (number()?, number()?, number()?);
        let narrow = |wide: u64| u32::try_from(wide).ok().ok_or(InvalidCursor);
        let cursor = Self { epoch: Epoch(narrow(epoch)?), partition: PartitionId(narrow(partition)?), next };
        if rest.is_empty() && cursor.encode() == text { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode())
    }
}

/// FNV-1a folded to a byte: enough to tell a slip of the hand, not meant against an attacker, who gains nothing.
fn checksum(bytes: &[u8]) -> u8 {
    let hash =
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_position_is_read_only_as_it_is_written() {
        let text = "1-7-42";
        assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        for other in ["", "1-7", "1-7-", "1-7-42-", "01-7-42", "+1-7-42", "1-7-42 ", "1--7", "4294967296-0-0"]
        {
            assert_eq!(other.parse::<Position>(), Err(InvalidPosition), "{other}");
        }
    }

    proptest! {
        #[test]
        fn cursor_survives_a_round_trip(epoch: u32, partition: u32, next: u64) {
            let cursor = Cursor { epoch: Epoch(epoch), partition: PartitionId(partition), next };
            let text = cursor.encode();
            prop_assert!(text.len() <= Cursor::MAX_BYTES);
            prop_assert_eq!(Cursor::decode(&text), Ok(cursor));
        }

        #[test]
        fn no_text_is_read_as_a_cursor_it_does_not_spell(text in "[A-Za-z0-9_=-]{0,40}") {
            if let Ok(cursor) = Cursor::decode(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }

        #[test]
        fn a_truncated_cursor_never_moves_forward(epoch in 0_u32..9, partition in 0_u32..64, next: u64, cut in 1_usize..8) {
            let text = Cursor { epoch: Epoch(epoch), partition: PartitionId(partition), next }.encode();
            let short = &text[..text.len().saturating_sub(cut)];
            prop_assert_ne!(Cursor::decode(short).map(|cursor| cursor.encode()), Ok(text.clone()));
        }
    }

    #[test]
    fn a_cursor_covers_what_lies_below_it_and_every_older_epoch() {
        let at = |epoch, offset| Position { epoch: Epoch(epoch), partition: PartitionId(3), offset };
        let cursor = Cursor::after(at(2, 7));
        assert!(cursor.covers(at(2, 7)) && cursor.covers(at(1, 900)));
        assert!(!cursor.covers(at(2, 8)) && !cursor.covers(at(3, 0)));
    }
}
