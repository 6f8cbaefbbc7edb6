//! Answers of the receiver, and those that never come.

use super::super::note;
use super::super::socket::{self, Got};
use super::Producers;
use crate::clock::micros;
use crate::control::Produce;
use crate::ledger::Entries;
use crate::wire::http::{self, Answer};
use crate::wire::scan::Scan;

/// How long an answer may take, in microseconds.
const ANSWER_WITHIN: u64 = 30_000_000;

impl Producers {
    /// Something can be read from or written to a connection.
    pub(super) fn ready(&mut self, lane: usize) {
        if let Err(error) = self.step(lane) {
            self.unanswered(lane, &format!("{error:#}"));
        }
    }

    fn step(&mut self, lane: usize) -> anyhow::Result<()> {
        let connection = &mut self.lanes[lane];
        let Some(stream) = &mut connection.stream else { return Ok(()) };
        if connection.out.is_some() {
            if let Some(error) = stream.take_error()? {
                return Err(error.into());
            }
            match socket::write(stream, b"", &mut connection.out) {
                Err(error) if error.kind() == std::io::ErrorKind::NotConnected => return Ok(()),
                written => written?,
            }
        }
        loop {
            let connection = &mut self.lanes[lane];
            let Some(stream) = &mut connection.stream else { return Ok(()) };
            let got = match self.scratch.read(stream, &mut connection.rest) {
                Err(error) if error.kind() == std::io::ErrorKind::NotConnected => return Ok(()),
                got => got?,
            };
            match got {
                Got::Nothing => return Ok(()),
                Got::End if connection.under_way.is_none() => {
                    // It idled for longer than the receiver lets it; the next request connects again.
                    (connection.stream, connection.rest) = (None, None);
                    return Ok(());
                }
                Got::End => anyhow::bail!("the receiver ended the connection instead of answering"),
                Got::More | Got::All => {}
            }
            match http::answer(self.scratch.bytes()).map_err(anyhow::Error::msg)? {
                Some(answer) => {
                    let used = answer.used;
                    let (status, closes) = (answer.head.status, answer.head.closes);
                    let counted = count(&answer, &self.setup, lane, self.lanes[lane].sent, &mut self.ledger);
                    self.lanes[lane].rest = self.scratch.rest(used);
                    self.answered(lane, status, counted);
                    if closes {
                        (self.lanes[lane].stream, self.lanes[lane].rest) = (None, None);
                        return Ok(());
                    }
                }
                None => self.lanes[lane].rest = self.scratch.rest(0),
            }
            if got == Got::All {
                return Ok(());
            }
        }
    }

    fn answered(&mut self, lane: usize, status: u16, counted: Result<u64, String>) {
        let batch = self.setup.plan.batch;
        let Some((due, _)) = self.lanes[lane].under_way.take() else { return };
        let now = micros();
        self.lanes[lane].sent += batch;
        self.lanes[lane].answered = now;
        let accepted = counted.unwrap_or_else(|problem| {
            note(&mut self.tick.problems, format!("{status}: {problem}"));
            0
        });
        self.tick.accepted += accepted;
        self.tick.refused += batch - accepted;
        self.tick.last = now;
        if due >= self.count_from {
            for _ in 0..accepted {
                self.latencies.record(now.saturating_sub(due));
            }
        }
    }

    /// A request has no answer; whether it was accepted is not known.
    pub(super) fn unanswered(&mut self, lane: usize, why: &str) {
        let connection = &mut self.lanes[lane];
        (connection.stream, connection.rest, connection.out) = (None, None, None);
        if connection.under_way.take().is_some() {
            connection.sent += self.setup.plan.batch;
            self.tick.unanswered += self.setup.plan.batch;
            note(&mut self.tick.problems, format!("no answer: {why}"));
        }
    }

    /// Waits no longer for answers that take too long.
    pub(super) fn give_up(&mut self, now: u64) {
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].under_way.is_some_and(|(_, sent)| sent + ANSWER_WITHIN < now) {
                self.unanswered(lane, "it took too long");
            }
        }
    }
}

/// Enters what was accepted. Answers how many, or with what is wrong when none was.
fn count(
    answer: &Answer<'_>,
    setup: &Produce,
    lane: usize,
    sent: u64,
    ledger: &mut [Entries],
) -> Result<u64, String> {
    let text = || String::from_utf8_lossy(&answer.body[..answer.body.len().min(400)]).into_owned();
    if !(200..300).contains(&answer.head.status) {
        return Err(text());
    }
    let mut scan = Scan(&answer.body);
    let mut accepted = 0;
    for index in 0..setup.plan.batch {
        if setup.plan.batch > 1 {
            let (Some(()), Some(202)) = (scan.behind(br#""status":"#), scan.number()) else { continue };
        }
        let Some(id) = scan.behind(br#""id":""#).and_then(|()| scan.until(b'"')) else { break };
        let (recipient, n) = setup.plan.item(lane as u64, sent + index);
        ledger[recipient as usize].enter(n, id);
        accepted += 1;
    }
    if accepted == 0 { Err(text()) } else { Ok(accepted) }
}
