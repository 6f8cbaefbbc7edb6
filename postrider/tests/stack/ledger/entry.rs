//! One line of the ledger: when, what, and its numbers, separated by spaces. Pure.

use std::fmt;
use std::str::{FromStr, SplitAsciiWhitespace};
use std::time::Duration;

use shared::position::{Cursor, Epoch, PartitionId};
use uuid::Uuid;

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Since the ledger was begun.
    pub at: Duration,
    pub entry: Entry,
}

/// What happened. `attempt` is the mark that a producer's request carries in its content: each try of the same
/// notification has its own, so that one that got no answer is recognised when it appears. `recipient` is a number of
/// the load's own, `session` counts a recipient's connections.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A producer asks. A `ttl_s` of 0 means none is given; `refuse`: its client will refuse it for good.
    Asked { attempt: u64, recipient: u32, ttl_s: u32, refuse: bool },
    /// What it was answered.
    Answered { attempt: u64, answer: Answer },
    /// A client connected, standing at `cursor`.
    Opened { recipient: u32, session: u32, how: How, cursor: Option<Cursor> },
    /// A notification came. With [`How::library`], it was shown.
    Came { recipient: u32, session: u32, attempt: Option<u64>, id: Uuid, cursor: Cursor },
    /// A gap came: this many will never come.
    Gap { recipient: u32, session: u32, expired: u64, over_quota: u64, from: Cursor, cursor: Cursor },
    /// The client said that everything up to `cursor` is processed.
    Acknowledged { recipient: u32, session: u32, cursor: Cursor },
    /// The client refused this one for good.
    Refused { recipient: u32, session: u32, id: Uuid },
    /// The connection is over.
    Closed { recipient: u32, session: u32 },
}

/// What a producer knows of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 202: it must have an end.
    Accepted(Uuid),
    /// It cannot have been accepted: it must never appear.
    Refused,
    /// No answer, or one that says so: it may appear or not.
    Unknown,
}

/// How a client listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    pub transport: postrider::client::Transport,
    /// Through the product's client library, which must show nothing twice; else raw frames off the wire.
    pub library: bool,
}

const TRANSPORTS: [(postrider::client::Transport, &str); 3] = [
    (postrider::client::Transport::WebSocket, "ws"),
    (postrider::client::Transport::Sse, "sse"),
    (postrider::client::Transport::Poll, "poll"),
];

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = TRANSPORTS.iter().find(|(transport, _)| *transport == self.transport).unwrap().1;
        write!(f, "{name}{}", if self.library { "+library" } else { "" })
    }
}

impl FromStr for How {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_suffix("+library").unwrap_or(text);
        let known = TRANSPORTS.iter().find(|(_, known)| *known == name).ok_or("an unknown transport")?;
        Ok(Self { transport: known.0, library: text.ends_with("+library") })
    }
}

/// A cursor as three numbers, which a person can compare.
struct Plain(Cursor);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0.epoch.0, self.0.partition.0, self.0.next)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at.as_micros(), self.entry)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { attempt, recipient, ttl_s, refuse } => {
                write!(f, "asked {attempt} {recipient} {ttl_s} {}", u8::from(*refuse))
            }
            Self::Answered { attempt, answer } => match answer {
                Answer::Accepted(id) => write!(f, "accepted {attempt} {}", id.simple()),
                Answer::Refused => write!(f, "refused {attempt}"),
                Answer::Unknown => write!(f, "unknown {attempt}"),
            },
            Self::Opened { recipient, session, how, cursor } => match cursor {
                Some(cursor) => write!(f, "opened {recipient} {session} {how} {}", Plain(*cursor)),
                None => write!(f, "opened {recipient} {session} {how} -"),
            },
            Self::Came { recipient, session, attempt, id, cursor } => {
                write!(f, "came {recipient} {session} ")?;
                match attempt {
                    Some(attempt) => write!(f, "{attempt}")?,
                    None => f.write_str("-")?,
                }
                write!(f, " {} {}", id.simple(), Plain(*cursor))
            }
            Self::Gap { recipient, session, expired, over_quota, from, cursor } => write!(
                f,
                "gap {recipient} {session} {expired} {over_quota} {} {}",
                Plain(*from),
                Plain(*cursor)
            ),
            Self::Acknowledged { recipient, session, cursor } => {
                write!(f, "ack {recipient} {session} {}", Plain(*cursor))
            }
            Self::Refused { recipient, session, id } => {
                write!(f, "nack {recipient} {session} {}", id.simple())
            }
            Self::Closed { recipient, session } => write!(f, "closed {recipient} {session}"),
        }
    }
}

/// The words of a line, each read as what it must be.
struct Words<'a>(SplitAsciiWhitespace<'a>);

impl Words<'_> {
    fn text(&mut self) -> Result<&str, &'static str> {
        self.0.next().ok_or("a word is missing")
    }

    fn read<T: FromStr>(&mut self) -> Result<T, &'static str> {
        self.text()?.parse().ok().ok_or("a word is not what it should be")
    }

    /// `-` is none.
    fn maybe<T>(&mut self, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, &'static str> {
        match self.text()? {
            "-" => Ok(None),
            text => read(text).map(Some).ok_or("a word is not what it should be"),
        }
    }

    fn cursor(&mut self) -> Result<Cursor, &'static str> {
        self.maybe(plain)?.ok_or("a cursor is missing")
    }
}

fn plain(text: &str) -> Option<Cursor> {
    let mut numbers = text.split('.');
    let epoch = Epoch(numbers.next()?.parse().ok()?);
    let partition = PartitionId(numbers.next()?.parse().ok()?);
    Some(Cursor { epoch, partition, next: numbers.next()?.parse().ok()? })
}

impl FromStr for Line {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = Words(text.split_ascii_whitespace());
        let at = Duration::from_micros(words.read()?);
        let kind = words.text()?.to_owned();
        let entry = match kind.as_str() {
            "asked" => Entry::Asked {
                attempt: words.read()?,
                recipient: words.read()?,
                ttl_s: words.read()?,
                refuse: words.read::<u8>()? == 1,
            },
            "accepted" => Entry::Answered { attempt: words.read()?, answer: Answer::Accepted(words.read()?) },
            "refused" => Entry::Answered { attempt: words.read()?, answer: Answer::Refused },
            "unknown" => Entry::Answered { attempt: words.read()?, answer: Answer::Unknown },
            _of_a_client => of_client(&kind, &mut words)?,
        };
        Ok(Self { at, entry })
    }
}

fn of_client(kind: &str, words: &mut Words<'_>) -> Result<Entry, &'static str> {
    let (recipient, session) = (words.read()?, words.read()?);
    Ok(match kind {
        "opened" => Entry::Opened { recipient, session, how: words.read()?, cursor: words.maybe(plain)? },
        "came" => Entry::Came {
            recipient,
            session,
            attempt: words.maybe(|text| text.parse().ok())?,
            id: words.read()?,
            cursor: words.cursor()?,
        },
        "gap" => Entry::Gap {
            recipient,
            session,
            expired: words.read()?,
            over_quota: words.read()?,
            from: words.cursor()?,
            cursor: words.cursor()?,
        },
        "ack" => Entry::Acknowledged { recipient, session, cursor: words.cursor()? },
        "nack" => Entry::Refused { recipient, session, id: words.read()? },
        "closed" => Entry::Closed { recipient, session },
        _unknown => return Err("an unknown kind"),
    })
}

#[cfg(test)]
mod tests {
    use postrider::client::Transport;

    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let cursor = Cursor { epoch: Epoch(1), partition: PartitionId(2), next: 34 };
        let id = Uuid::from_u128(7);
        let how = How { transport: Transport::Sse, library: true };
        let entries = [
            Entry::Asked { attempt: 1, recipient: 2, ttl_s: 3, refuse: true },
            Entry::Answered { attempt: 1, answer: Answer::Accepted(id) },
            Entry::Answered { attempt: 1, answer: Answer::Refused },
            Entry::Answered { attempt: 1, answer: Answer::Unknown },
            Entry::Opened { recipient: 2, session: 1, how, cursor: Some(cursor) },
            Entry::Opened { recipient: 2, session: 1, how: How { library: false, ..how }, cursor: None },
            Entry::Came { recipient: 2, session: 1, attempt: Some(1), id, cursor },
            Entry::Came { recipient: 2, session: 1, attempt: None, id, cursor },
            Entry::Gap { recipient: 2, session: 1, expired: 4, over_quota: 0, from: cursor, cursor },
            Entry::Acknowledged { recipient: 2, session: 1, cursor },
            Entry::Refused { recipient: 2, session: 1, id },
            Entry::Closed { recipient: 2, session: 1 },
        ];
        for entry in entries {
            let line = Line { at: Duration::from_micros(123_456_789), entry };
            assert_eq!(line.to_string().parse(), Ok(line));
        }
        assert!("12 came 1 2 3".parse::<Line>().is_err());
    }
}
