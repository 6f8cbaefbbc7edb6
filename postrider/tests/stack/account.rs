//! The account of a load: for every accepted notification exactly one end, and nothing else anywhere. Made from the
//! ledger and from what stands in the store and among the dead letters at the end. Pure, but for being told.

pub mod delays;
pub mod report;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use uuid::Uuid;

use super::ledger::book::{Book, FINDINGS, Finding, Moved, Try};
use super::ledger::entry::Answer;
use super::ledger::stream::Place;
use delays::Delays;

/// What was found at rest, by the marks of the tries.
#[derive(Clone, Debug, Default)]
pub struct AtRest {
    /// Rows of the store.
    pub stored: Vec<Resting>,
    /// Dead letters.
    pub dead: Vec<Resting>,
    /// Expired ones that the store knows of and nobody was told yet, by the recipient's number.
    pub expired: HashMap<u32, u64>,
    /// The tries whose record stands on the log more than once, with one id, and where.
    pub copies: HashMap<u64, Vec<Place>>,
}

impl AtRest {
    /// How often a try stands on the log, if it stands there at all: each copy has an end of its own.
    fn times(&self, attempt: u64) -> usize {
        self.copies.get(&attempt).map_or(1, Vec::len)
    }
}

/// One notification at rest.
#[derive(Clone, Debug)]
pub struct Resting {
    pub attempt: Option<u64>,
    pub id: Uuid,
    /// Why, of a dead letter.
    pub code: String,
}

/// How many came to each end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub acknowledged: u64,
    pub stored: u64,
    pub expired: u64,
    pub dead_lettered: u64,
}

/// The account.
#[derive(Debug, Default)]
pub struct Account {
    pub asked: u64,
    pub accepted: u64,
    /// Tries that were certainly refused.
    pub refused: u64,
    /// Tries whose outcome the producer does not know,
    pub unknown: u64,
    /// and those of them that appeared.
    pub appeared: u64,
    pub ends: Ends,
    /// The tries that were accepted and have no end.
    pub lost: Vec<u64>,
    pub findings: Vec<Finding>,
    pub findings_left_out: u64,
    pub wire_duplicates: u64,
    pub shown_duplicates: u64,
    /// Redeliveries, among both, of an id that stands on the log at more places than one, each from its place.
    pub copies: u64,
    pub delays: Delays,
}

impl Account {
    /// The account as it is now. `delays` is left as it is.
    pub fn of(book: &Book, at_rest: &AtRest) -> Self {
        let mut account = Self {
            findings: book.findings.clone(),
            findings_left_out: book.findings_left_out,
            wire_duplicates: book.wire_duplicates,
            shown_duplicates: book.shown_duplicates,
            ..Self::default()
        };
        account.weigh_copies(book, at_rest);
        let stored = account.place_at_rest(book, at_rest, &at_rest.stored, "stored");
        let dead = account.place_at_rest(book, at_rest, &at_rest.dead, "dead-lettered");
        account.count_answers(book);
        let mut expired: HashMap<u32, Vec<u64>> = HashMap::new();
        for (attempt, known) in (0..).zip(&book.tries) {
            let Some(Answer::Accepted(_)) = known.answer else { continue };
            let rests = [&stored, &dead].map(|at_rest| at_rest.get(&attempt).copied().unwrap_or_default());
            match account.end_of(book, at_rest, (attempt, known), rests) {
                Some(End::Acknowledged) => account.ends.acknowledged += 1,
                Some(End::Stored) => account.ends.stored += 1,
                Some(End::DeadLettered) => account.ends.dead_lettered += 1,
                // Which of a recipient's expired nobody is told, only how many.
                None if known.ttl_s > 0 => expired.entry(known.recipient).or_default().push(attempt),
                None => account.lost.push(attempt),
            }
        }
        account.weigh_gaps(book, at_rest, &expired);
        account.check_order_of_producers(book);
        account.lost.sort_unstable();
        account
    }

    /// Whether there is nothing to object to.
    pub fn balances(&self) -> bool {
        self.lost.is_empty() && self.findings.is_empty()
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS {
            self.findings.push(finding);
        } else {
            self.findings_left_out += 1;
        }
    }

    /// Objects to what came from another place where the log has no second copy.
    fn weigh_copies(&mut self, book: &Book, at_rest: &AtRest) {
        for Moved { attempt, recipient, id, first, then, shown } in &book.moved {
            let places = at_rest.copies.get(attempt).map_or(&[][..], Vec::as_slice);
            if places.contains(first) && places.contains(then) {
                self.copies += 1;
                continue;
            }
            self.find(Finding::Changed(format!(
                "try {attempt} ({id}) came from {first:?}, then from {then:?}"
            )));
            if *shown {
                self.find(Finding::ShownTwice { recipient: *recipient, attempt: *attempt });
            }
        }
    }

    /// The notifications at rest by the try they belong to; objects to those that nobody can have produced.
    fn place_at_rest(
        &mut self,
        book: &Book,
        at_rest: &AtRest,
        resting: &[Resting],
        what: &str,
    ) -> HashMap<u64, usize> {
        let mut placed: HashMap<u64, usize> = HashMap::new();
        for Resting { attempt, id, code } in resting {
            let known =
                attempt.and_then(|attempt| Some((attempt, book.tries.get(usize::try_from(attempt).ok()?)?)));
            let of_ours = known.filter(|(_, known)| match known.answer {
                Some(Answer::Accepted(accepted)) => accepted == *id,
                Some(Answer::Unknown) => known.came.is_none_or(|(came, _)| came == *id),
                Some(Answer::Refused) | None => false,
            });
            match of_ours {
                Some((attempt, known)) => {
                    let times = placed.entry(attempt).or_default();
                    *times += 1;
                    if *times > at_rest.times(attempt) {
                        self.find(Finding::Invented(format!("try {attempt} is {what} {times} times")));
                    } else if what == "dead-lettered" && known.refused_on.is_none() {
                        self.find(Finding::Invented(format!(
                            "try {attempt} is a dead letter ({code}) and nobody refused it"
                        )));
                    }
                }
                None => self.find(Finding::Invented(format!("{id} is {what}, marked {attempt:?}"))),
            }
        }
        placed
    }

    fn count_answers(&mut self, book: &Book) {
        for (attempt, known) in (0_u64..).zip(&book.tries) {
            let Some(answer) = known.answer else { continue };
            self.asked += 1;
            match (answer, known.came) {
                (Answer::Accepted(id), Some((came, _))) if came != id => {
                    self.find(Finding::Invented(format!(
                        "try {attempt} was accepted as {id} and came as {came}"
                    )));
                    self.accepted += 1;
                }
                (Answer::Accepted(_), _) => self.accepted += 1,
                (Answer::Refused, Some((came, _))) => {
                    self.find(Finding::Invented(format!("try {attempt} was refused and came as {came}")));
                    self.refused += 1;
                }
                (Answer::Refused, None) => self.refused += 1,
                (Answer::Unknown, came) => {
                    self.unknown += 1;
                    self.appeared += u64::from(came.is_some());
                }
            }
        }
    }

    fn end_of(
        &mut self,
        book: &Book,
        at_rest: &AtRest,
        (attempt, known): (u64, &Try),
        [rows, letters]: [usize; 2],
    ) -> Option<End> {
        // A refusal that nobody heard is outlived by the cursor of a later connection, which says "processed".
        let passed = known.refused_on.zip(known.came).is_some_and(|(on, (_, at))| {
            let stream = &book.streams[known.recipient as usize];
            stream.session > on && stream.acknowledged >= Some(at)
        });
        let (acknowledged, stored, dead) = (known.acknowledged.is_some(), rows > 0, letters > 0);
        let two = match (acknowledged, stored, dead) {
            (true, true, _) => Some("acknowledged and stored"),
            (true, _, true) => Some("acknowledged and dead-lettered"),
            (_, true, true) => Some("stored and dead-lettered"),
            (_, _, _) => None,
        };
        let many = usize::from(acknowledged) + rows + letters > at_rest.times(attempt);
        if let Some(ends) = two.filter(|_| many) {
            self.find(Finding::TwoEnds { attempt, ends });
        }
        match (acknowledged, dead, stored) {
            (true, ..) => Some(End::Acknowledged),
            (_, true, _) => Some(End::DeadLettered),
            (.., true) => Some(End::Stored),
            (false, false, false) => passed.then_some(End::Acknowledged),
        }
    }

    /// Those of a recipient that had a TTL and are nowhere must be told by its gaps; more than told are lost.
    fn weigh_gaps(&mut self, book: &Book, at_rest: &AtRest, expired: &HashMap<u32, Vec<u64>>) {
        // Those with a TTL that came, or of which nobody knows, may have been told as expired all the same.
        let mut uncertain: HashMap<u32, u64> = HashMap::new();
        for (attempt, known) in (0..).zip(&book.tries).filter(|(_, known)| known.ttl_s > 0) {
            let may_be = matches!(known.answer, Some(Answer::Unknown)) || known.came.is_some();
            *uncertain.entry(known.recipient).or_default() +=
                u64::from(may_be) + at_rest.times(attempt) as u64 - 1;
        }
        for (recipient, stream) in (0_u32..).zip(&book.streams) {
            let gone = expired.get(&recipient).map_or(&[][..], Vec::as_slice);
            let told = stream.expired() + at_rest.expired.get(&recipient).copied().unwrap_or_default();
            let most = gone.len() as u64 + uncertain.get(&recipient).copied().unwrap_or_default();
            if told > most || stream.over_quota > 0 {
                let over_quota = stream.over_quota;
                self.find(Finding::FalseGap(format!(
                    "recipient {recipient} was told of {told} expired and {over_quota} over quota; {most} can have expired"
                )));
            }
        }
        for (recipient, gone) in expired {
            let told = book.streams.get(*recipient as usize).map_or(0, |stream| stream.expired())
                + at_rest.expired.get(recipient).copied().unwrap_or_default();
            let explained = gone.len().min(usize::try_from(told).unwrap_or(usize::MAX));
            self.ends.expired += explained as u64;
            self.lost.extend(&gone[explained..]);
        }
    }

    /// What was answered before another was sent to the same recipient stands before it.
    fn check_order_of_producers(&mut self, book: &Book) {
        let mut by_recipient: HashMap<u32, Vec<(u64, &Try)>> = HashMap::new();
        for (attempt, known) in (0..).zip(&book.tries) {
            if matches!(known.answer, Some(Answer::Accepted(_))) && known.came.is_some() {
                by_recipient.entry(known.recipient).or_default().push((attempt, known));
            }
        }
        for tries in by_recipient.values_mut() {
            tries.sort_by_key(|(_, known)| known.came.map(|(_, at)| at));
            let mut latest: Option<(u64, &Try)> = None;
            for (attempt, known) in tries.iter() {
                if let Some((then, _)) = latest.filter(|(_, before)| known.answered < before.asked) {
                    self.find(Finding::AgainstProducers { first: *attempt, then });
                }
                if latest.is_none_or(|(_, before)| known.asked > before.asked) {
                    latest = Some((*attempt, known));
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Acknowledged,
    Stored,
    DeadLettered,
}
