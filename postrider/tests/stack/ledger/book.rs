//! The ledger folded line by line: what became of every try, what every recipient saw, and what must not have been.
//! Memory grows with the tries, some 100 bytes each. Pure.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use super::entry::{Answer, Entry, How, Line};
use super::stream::{Disorder, Place, Stream, place};

/// Findings kept word for word; the others are counted.
pub const FINDINGS: usize = 50;

/// One try of a producer.
#[derive(Clone, Debug, Default)]
pub struct Try {
    pub recipient: u32,
    pub ttl_s: u32,
    pub asked: Duration,
    pub answer: Option<Answer>,
    pub answered: Duration,
    /// Its id and place, when it came to a client first.
    pub came: Option<(Uuid, Place)>,
    pub times: u32,
    /// Which of its recipient's visits it came to last.
    visit: u32,
    /// When its client had processed it.
    pub acknowledged: Option<Duration>,
    /// On which connection its client refused it, if it did.
    pub refused_on: Option<u32>,
}

/// A redelivery from another place than the first: right for an id that stands on the log at both, and only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    pub attempt: u64,
    pub recipient: u32,
    pub id: Uuid,
    pub first: Place,
    pub then: Place,
    /// By a listener of the client library, begun since it was shown first.
    pub shown: bool,
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Came, or stands somewhere, although nobody can have produced it.
    Invented(String),
    OutOfOrder {
        recipient: u32,
        session: u32,
        attempt: Option<u64>,
        disorder: Disorder,
    },
    /// A redelivery with another id or place.
    Changed(String),
    /// The client library showed it a second time.
    ShownTwice {
        recipient: u32,
        attempt: u64,
    },
    TwoEnds {
        attempt: u64,
        ends: &'static str,
    },
    /// Accepted in one order, delivered in another.
    AgainstProducers {
        first: u64,
        then: u64,
    },
    /// Gaps told more, or of another cause, than can have been.
    FalseGap(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invented(what) => write!(f, "invented: {what}"),
            Self::OutOfOrder { recipient, session, attempt, disorder } => write!(
                f,
                "out of order: recipient {recipient}, connection {session}, {}: {:?} came after {:?}",
                attempt.map_or("a gap".to_owned(), |attempt| format!("try {attempt}")),
                disorder.place,
                disorder.after
            ),
            Self::Changed(what) => write!(f, "a redelivery changed: {what}"),
            Self::ShownTwice { recipient, attempt } => {
                write!(f, "shown twice by the client library: try {attempt} to recipient {recipient}")
            }
            Self::TwoEnds { attempt, ends } => write!(f, "two ends: try {attempt} is {ends}"),
            Self::AgainstProducers { first, then } => {
                write!(f, "order: try {first} was answered before try {then} was sent, and stands behind it")
            }
            Self::FalseGap(what) => write!(f, "a false gap: {what}"),
        }
    }
}

/// The fold.
#[derive(Default)]
pub struct Book {
    /// By the attempt's number.
    pub tries: Vec<Try>,
    /// By the recipient's number.
    pub streams: Vec<Stream>,
    pub findings: Vec<Finding>,
    pub findings_left_out: u64,
    pub wire_duplicates: u64,
    pub shown_duplicates: u64,
    pub moved: Vec<Moved>,
    library: Vec<bool>,
    /// How many visits of each recipient are over. A listener of the client library lives as long as one.
    visits: Vec<u32>,
}

impl Book {
    /// Takes the next line.
    pub fn take(&mut self, Line { at, entry }: Line) {
        match entry {
            Entry::Asked { attempt, recipient, ttl_s, refuse: _ } => {
                let asked = self.attempt(attempt);
                (asked.recipient, asked.ttl_s, asked.asked) = (recipient, ttl_s, at);
                asked.answer = asked.answer.or(Some(Answer::Unknown));
            }
            Entry::Answered { attempt, answer } => {
                let asked = self.attempt(attempt);
                (asked.answer, asked.answered) = (Some(answer), at);
            }
            Entry::Opened { recipient, session, how: How { library, .. }, cursor } => {
                self.stream(recipient);
                self.library[recipient as usize] = library;
                let Self { tries, streams, .. } = self;
                streams[recipient as usize].opened(session, cursor, |attempt| end(tries, attempt, at));
            }
            Entry::Came { recipient, session, attempt, id, cursor } => {
                self.came(recipient, session, attempt, (id, place(cursor)));
            }
            Entry::Gap { recipient, session, expired, over_quota, from, cursor } => {
                let stream = self.stream(recipient);
                stream.over_quota += over_quota;
                if let Err(disorder) = stream.gap(place(from), place(cursor), expired) {
                    self.find(Finding::OutOfOrder { recipient, session, attempt: None, disorder });
                }
            }
            Entry::Acknowledged { recipient, session: _, cursor } => {
                self.stream(recipient);
                let Self { tries, streams, .. } = self;
                streams[recipient as usize].acknowledge(place(cursor), |attempt| end(tries, attempt, at));
            }
            Entry::Refused { recipient, session, id } => {
                let refused = self.tries.iter_mut().rev().find(|known| {
                    known.recipient == recipient && known.came.is_some_and(|(came, _)| came == id)
                });
                if let Some(refused) = refused {
                    refused.refused_on = Some(session);
                }
            }
            Entry::Closed { recipient, session: _ } => {
                self.stream(recipient);
                self.visits[recipient as usize] += 1;
            }
        }
    }

    fn came(&mut self, recipient: u32, session: u32, attempt: Option<u64>, came: (Uuid, Place)) {
        let known =
            attempt.and_then(|attempt| Some((attempt, self.tries.get_mut(usize::try_from(attempt).ok()?)?)));
        let Some((attempt, known)) = known.filter(|(_, known)| known.answer.is_some()) else {
            return self.find(Finding::Invented(format!("{} came to recipient {recipient}", came.0)));
        };
        if known.recipient != recipient {
            let whose = known.recipient;
            return self.find(Finding::Invented(format!(
                "{} (try {attempt}) is recipient {whose}'s and came to {recipient}",
                came.0
            )));
        }
        known.times += 1;
        let again = known.times > 1;
        let (id, first) = *known.came.get_or_insert(came);
        let visit = self.visits.get(recipient as usize).copied().unwrap_or_default();
        let same_visit = std::mem::replace(&mut known.visit, visit) == visit;
        if id != came.0 {
            self.find(Finding::Changed(format!("try {attempt} came as {id}, then as {}", came.0)));
        }
        let shown = again && self.library[recipient as usize];
        let moved = again && first != came.1;
        if moved {
            self.moved.push(Moved { attempt, recipient, id, first, then: came.1, shown });
        }
        self.shown_duplicates += u64::from(shown);
        self.wire_duplicates += u64::from(again && !shown);
        // The library forgets with its listener all but the cursor, which lies below another place.
        if shown && (same_visit || !moved) {
            self.find(Finding::ShownTwice { recipient, attempt });
        }
        if let Err(disorder) = self.stream(recipient).came(came.1, attempt, again) {
            self.find(Finding::OutOfOrder { recipient, session, attempt: Some(attempt), disorder });
        }
    }

    /// Notes what must not be.
    pub fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS {
            self.findings.push(finding);
        } else {
            self.findings_left_out += 1;
        }
    }

    fn attempt(&mut self, attempt: u64) -> &mut Try {
        let index = usize::try_from(attempt).unwrap();
        if self.tries.len() <= index {
            self.tries.resize(index + 1, Try::default());
        }
        &mut self.tries[index]
    }

    fn stream(&mut self, recipient: u32) -> &mut Stream {
        let index = recipient as usize;
        while self.streams.len() <= index {
            self.streams.push(Stream::default());
            self.library.push(false);
            self.visits.push(0);
        }
        &mut self.streams[index]
    }

    /// Accepted tries that no client has processed or refused: those whose end must be looked for elsewhere.
    pub fn unfinished(&self) -> impl Iterator<Item = (u64, &Try)> {
        let is_open =
            |known: &Try| matches!(known.answer, Some(Answer::Accepted(_))) && known.acknowledged.is_none();
        (0..).zip(&self.tries).filter(move |(_, known)| is_open(known))
    }
}

/// `attempt` is processed, as its client said. What it refused has another end, or is looked at again in the account.
fn end(tries: &mut [Try], attempt: u64, at: Duration) {
    let index = usize::try_from(attempt).unwrap();
    let Some(known) = tries.get_mut(index) else { return };
    if known.refused_on.is_none() {
        known.acknowledged.get_or_insert(at);
    }
}
