//! The clients: one a recipient, for as long as the load lasts. Each is there by its manner, reconnects with backoff and
//! jitter to any distributor, goes on from its cursor, and writes down what it saw and said.

mod library;
mod raw;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shared::position::Cursor;
use shared::retry::Backoff;
use tokio::sync::watch;
use tokio::time::Instant;

use super::mix::{Manner, Mix};
use super::{Places, name};
use crate::stack::ledger::Ledger;
use crate::stack::ledger::entry::{Entry, How};
use crate::stack::producer::token;

/// What all clients do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Each by its manner.
    Load,
    /// All but the absent ones stay connected.
    Settling,
    /// Done.
    Over,
}

/// One recipient's client.
pub struct Client {
    recipient: u32,
    mix: Mix,
    places: Places,
    token: String,
    ledger: Ledger,
    http: reqwest::Client,
    stage: watch::Receiver<Stage>,
    random: StdRng,
    /// How many connections there were.
    session: u32,
    /// How often a connection could not be made since the last good one.
    attempt: u32,
    /// Where the client stands: as far as it ever said.
    cursor: Option<Cursor>,
}

/// Why a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The client went, as it meant to.
    AsPlanned,
    /// The connection broke, or there was none to be had, or the node asked to go and come back after this long.
    Sent(Duration),
}

impl Client {
    pub fn new(
        recipient: u32,
        mix: Mix,
        places: Places,
        ledger: Ledger,
        (http, stage, seed): (reqwest::Client, watch::Receiver<Stage>, u64),
    ) -> Self {
        let random = StdRng::seed_from_u64(seed ^ (u64::from(recipient) << 32));
        let token = token(&name(recipient));
        Self {
            recipient,
            mix,
            places,
            token,
            ledger,
            http,
            stage,
            random,
            session: 0,
            attempt: 0,
            cursor: None,
        }
    }

    /// Listens until the load is over.
    pub async fn listen(mut self) {
        loop {
            let (stage, manner) = (*self.stage.borrow_and_update(), self.mix.manner(self.recipient));
            let due = match (stage, manner) {
                (Stage::Over, _) | (Stage::Settling, Manner::Absent) => return,
                (Stage::Load, Manner::Offline | Manner::Absent) => {
                    let _gone = self.stage.changed().await;
                    continue;
                }
                (Stage::Load, Manner::Wandering) => {
                    Some(Instant::now() + Duration::from_millis(self.random.random_range(1_000..5_000)))
                }
                (Stage::Load, Manner::Steady) | (Stage::Settling, _) => None,
            };
            let left = self.visit(due).await;
            let pause = match left {
                Left::AsPlanned => Duration::from_millis(self.random.random_range(0..2_000)),
                Left::Sent(after) => after + self.backoff(),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Who is told to come does not wait for the end of an absence.
                _changed = self.stage.changed(), if left == Left::AsPlanned => {}
            }
        }
    }

    /// One connection, until `due` or until it breaks.
    async fn visit(&mut self, due: Option<Instant>) -> Left {
        self.session += 1;
        let how = self.mix.how(self.recipient, self.session);
        let (recipient, session) = (self.recipient, self.session);
        let left = match how.library {
            true => self.visit_with_library(how, due).await,
            false => self.visit_raw(how, due).await,
        };
        self.ledger.write(Entry::Closed { recipient, session });
        left
    }

    fn opened(&mut self, how: How) {
        self.attempt = 0;
        let (recipient, session, cursor) = (self.recipient, self.session, self.cursor);
        self.ledger.write(Entry::Opened { recipient, session, how, cursor });
    }

    fn acknowledged(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
        self.ledger.write(Entry::Acknowledged { recipient: self.recipient, session: self.session, cursor });
    }

    fn backoff(&mut self) -> Duration {
        let backoff = Backoff { base: Duration::from_millis(100), cap: self.mix.reconnect_cap };
        self.attempt = self.attempt.saturating_add(1);
        backoff.delay(self.attempt - 1, self.random.random())
    }
}

/// Waits until `due`; for ever without one.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
