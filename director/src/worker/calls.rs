//! The calls a worker has under way beside its loop, and what it does with their answers.

use std::sync::Arc;

use futures_util::future::FutureExt as _;
use shared::delivery::NodeId;
use shared::group::offsets::Ticket;
use shared::log::Placed;
use shared::log::outlet::Taken;
use shared::outcome::DeadReason;
use shared::recipient::Recipient;
use tokio::time::Instant;

use super::Worker;
use super::endings::{Ending, Haste};
use super::outbox::Way;
use crate::forward::{Link, Unreachable};
use crate::lane::{Input, Run};
use crate::lookups::{Answer, Heard};
use crate::metrics;
use crate::routing::Undeliverable;

/// What the registry is asked.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// Where to send.
    Lookup(Recipient),
    /// Whom to poke.
    Look(Recipient),
}

/// Which kinds of call are under way.
#[derive(Debug, Default)]
pub(super) struct Busy {
    asking: bool,
    parking: bool,
    burying: bool,
    unregistering: bool,
    hearing: bool,
}

/// A call that came back.
#[derive(Debug)]
pub(super) enum Done {
    Asked(Vec<Question>, Answer),
    Parked(Vec<Run>, Vec<Vec<Taken>>),
    Buried(Vec<Undeliverable>),
    Told(Vec<Ticket>),
    Unregistered,
    /// News, as they stood when the record at this offset had been taken.
    Heard(u64, Heard),
    Flushed(NodeId, Option<Link>),
}

impl Worker {
    /// Starts every call that has something to do and is not under way.
    pub(super) fn start_calls(&mut self, haste: Haste) {
        let limit = self.desk.config.batch_records;
        if !self.busy.asking && !self.questions.is_empty() {
            self.busy.asking = true;
            self.ask(limit);
        }
        if !self.busy.parking && !self.parking.is_empty() {
            self.busy.parking = true;
            let (mut batch, mut records) = (Vec::new(), 0);
            while records < limit
                && let Some(run) = self.parking.pop()
            {
                records += run.len();
                batch.push(run);
            }
            let parker = self.desk.parker.clone();
            let call = async move {
                let answers = parker.park(&batch).await;
                Done::Parked(batch, answers)
            };
            self.calls.push(call.boxed());
        }
        if !self.busy.burying && !self.burying.is_empty() {
            self.busy.burying = true;
            let batch: Vec<_> = self.burying.drain(..self.burying.len().min(limit)).collect();
            let parker = self.desk.parker.clone();
            let call = async move {
                let letters: Vec<_> = batch.iter().map(|record| record.letter.clone()).collect();
                parker.bury(&letters).await;
                Done::Buried(batch)
            };
            self.calls.push(call.boxed());
        }
        if !self.busy.unregistering && !self.unregistering.is_empty() {
            self.busy.unregistering = true;
            let batch: Vec<_> = self.unregistering.drain(..self.unregistering.len().min(limit)).collect();
            let lookups = Arc::clone(&self.desk.lookups);
            let call = async move {
                lookups.remove(&batch).await;
                Done::Unregistered
            };
            self.calls.push(call.boxed());
        }
        if !self.busy.hearing
            && let Some(upto) = self.lanes.unproved()
        {
            self.busy.hearing = true;
            let (lookups, round) = (Arc::clone(&self.desk.lookups), self.heard);
            self.calls.push(async move { Done::Heard(upto, lookups.news(round).await) }.boxed());
        }
        self.tell_outcomes(haste);
        self.flush();
    }

    fn heard(&mut self, upto: u64, heard: Heard) {
        match heard {
            Heard::News(news, round) => {
                self.heard = round;
                news.into_iter().for_each(|news| self.step(Input::Entered(news)));
                self.step(Input::Proved(upto));
            }
            Heard::Failed => {}
            Heard::Away => self.step(Input::Unprovable),
        }
    }

    fn tell_outcomes(&mut self, haste: Haste) {
        let batch = self.endings.batch(&self.desk.config.outcomes, haste, Instant::now());
        if batch.is_empty() {
            return;
        }
        let (parker, key) = (self.desk.parker.clone(), self.outcomes_key.clone());
        let (epoch, partition) = (self.source.epoch, self.assignment.partition);
        let call = async move {
            let (tickets, outcomes): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|Ending { ticket, outcome }| (ticket, outcome)).unzip();
            metrics::outcomes(outcomes.len());
            parker.tell(&key, epoch, partition, &outcomes).await;
            Done::Told(tickets)
        };
        self.calls.push(call.boxed());
    }

    fn ask(&mut self, limit: usize) {
        let batch = self.questions.take(limit);
        let lookups = Arc::clone(&self.desk.lookups);
        let call = async move {
            let recipients: Vec<Recipient> = batch
                .iter()
                .map(|question| match question {
                    Question::Lookup(recipient) | Question::Look(recipient) => recipient.clone(),
                })
                .collect();
            let answer = lookups.ask(&recipients).await;
            Done::Asked(batch, answer)
        };
        self.calls.push(call.boxed());
    }

    fn flush(&mut self) {
        for (node, outbox) in &mut self.outboxes {
            let Some((link, batch)) = outbox.start_flush(&self.desk.config.link) else { continue };
            let (node, forwarder) = (*node, Arc::clone(&self.desk.forwarder));
            let call = async move {
                let sent = async {
                    let link = match link {
                        Some(link) => link,
                        None => forwarder.open(node).await?,
                    };
                    link.send(batch).await?;
                    Ok::<Link, Unreachable>(link)
                };
                Done::Flushed(node, sent.await.ok())
            };
            self.calls.push(call.boxed());
        }
    }

    fn answered(&mut self, questions: Vec<Question>, answer: Answer) {
        let is_away = matches!(answer, Answer::Away);
        let mut routes = match answer {
            Answer::Routes(routes) => routes,
            Answer::Failed | Answer::Away => Vec::new(),
        }
        .into_iter();
        for question in questions {
            let routes = routes.next();
            self.step(match question {
                Question::Lookup(recipient) if is_away => Input::Away(recipient),
                Question::Lookup(recipient) => Input::Routed(recipient, routes),
                Question::Look(recipient) => Input::Looked(recipient, routes),
            });
        }
    }

    /// Does what the answer of a call is for.
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Asked(questions, answer) => {
                self.busy.asking = false;
                self.answered(questions, answer);
            }
            Done::Parked(runs, answers) => {
                self.busy.parking = false;
                metrics::parked_runs(runs.len());
                let answered =
                    runs.into_iter().zip(answers).flat_map(|(run, answers)| run.into_iter().zip(answers));
                for ((record, reason), answer) in answered {
                    let offset = record.position.offset;
                    self.step(match answer {
                        Taken::At(Placed { offset: parked, .. }) => {
                            metrics::parked(reason);
                            Input::Parked { offset, parked }
                        }
                        Taken::TooLarge => {
                            let why = "the record is too large to be parked";
                            Input::Unparkable(offset, DeadReason::TooLarge(why.into()))
                        }
                    });
                }
            }
            Done::Buried(records) => {
                self.busy.burying = false;
                for record in records {
                    metrics::dead_lettered(&record.letter.reason);
                    metrics::dead_letter_ended();
                    self.assignment.intake.ended(1, record.size_bytes);
                    self.buried(&record);
                    self.step(Input::Buried(record.letter.position.offset));
                }
            }
            Done::Told(tickets) => {
                self.endings.told();
                tickets.into_iter().for_each(|ticket| self.finish(ticket));
            }
            Done::Unregistered => self.busy.unregistering = false,
            Done::Heard(upto, heard) => {
                self.busy.hearing = false;
                self.heard(upto, heard);
            }
            Done::Flushed(node, link) => {
                let way = self.outboxes.get_mut(&node).map(|outbox| outbox.flushed(link));
                if way == Some(Way::Lost) {
                    self.lose(node);
                }
            }
        }
    }
}
