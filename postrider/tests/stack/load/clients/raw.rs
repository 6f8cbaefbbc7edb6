//! A client that speaks frames: what is sent twice is seen twice.

use std::time::Duration;

use rand::Rng as _;
use shared::position::Cursor;
use tokio::time::Instant;

use super::{Client, Left, Stage, until};
use crate::stack::ledger::entry::{Entry, How};
use crate::stack::load::wire::{Door, Heard, Wire};

/// How long an acknowledgement waits for others to go with it.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(20);
/// A connection on which nothing was heard for this long is dead: two and a half heartbeats of the server.
const SILENCE: Duration = Duration::from_secs(63);

/// What came and is not acknowledged.
#[derive(Default)]
struct Owed {
    upto: Option<(u64, Cursor)>,
    due: Option<Instant>,
}

impl Client {
    pub(super) async fn visit_raw(&mut self, how: How, due: Option<Instant>) -> Left {
        let at = self.random.random_range(0..1_000_usize);
        let door = Door {
            http: &self.http,
            url: self.places.distributor(at),
            token: &self.token,
            cursor: self.cursor.map(|cursor| cursor.encode()),
        };
        let opened = Wire::open(how.transport, &door).await;
        let Ok(mut wire) = opened else { return Left::Sent(Duration::ZERO) };
        // Before any frame is read, so that what follows is this connection's.
        self.opened(how);
        let mut owed = Owed::default();
        loop {
            tokio::select! {
                heard = tokio::time::timeout(SILENCE, wire.next()) => {
                    let Ok(Ok(heard)) = heard else { return Left::Sent(Duration::ZERO) };
                    match self.hear(heard, &mut wire, &mut owed).await {
                        Ok(None) => {}
                        Ok(Some(left)) => return left,
                        Err(_broken) => return Left::Sent(Duration::ZERO),
                    }
                }
                () = until(owed.due) => {
                    if self.acknowledge(&mut wire, &mut owed).await.is_err() {
                        return Left::Sent(Duration::ZERO);
                    }
                }
                () = until(due) => {
                    // Half of them go without a word, and find again what they did not acknowledge.
                    if self.random.random() {
                        let _broken = self.acknowledge(&mut wire, &mut owed).await;
                    }
                    return Left::AsPlanned;
                }
                _changed = self.stage.changed() => {
                    let stage = *self.stage.borrow();
                    if stage == Stage::Over {
                        let _broken = self.acknowledge(&mut wire, &mut owed).await;
                        return Left::AsPlanned;
                    }
                    if due.is_some() {
                        return Left::AsPlanned;
                    }
                }
            }
        }
    }

    async fn hear(&mut self, heard: Heard, wire: &mut Wire, owed: &mut Owed) -> Result<Option<Left>, String> {
        let (recipient, session) = (self.recipient, self.session);
        match heard {
            Heard::Opened | Heard::Alive => return Ok(None),
            Heard::Leave(after) => return Ok(Some(Left::Sent(after))),
            Heard::Notification(came) => {
                let (id, cursor) = (came.id, came.cursor);
                let attempt = came.mark.attempt;
                self.ledger.write(Entry::Came { recipient, session, attempt, id, cursor });
                if came.mark.refuse && matches!(wire, Wire::WebSocket(_)) {
                    // What stands before it first: a refusal says nothing of those.
                    self.acknowledge(wire, owed).await?;
                    self.ledger.write(Entry::Refused { recipient, session, id });
                    return wire.refuse(came.seq).await.map(|()| None);
                }
                owed.upto = Some((came.seq, cursor));
            }
            Heard::Gap { seq, expired, over_quota, from, cursor } => {
                self.ledger.write(Entry::Gap { recipient, session, expired, over_quota, from, cursor });
                owed.upto = Some((seq, cursor));
            }
        }
        owed.due.get_or_insert_with(|| Instant::now() + ACKNOWLEDGE_AFTER);
        if matches!(wire, Wire::Poll(_)) {
            // The next request says it.
            self.acknowledge(wire, owed).await?;
        }
        Ok(None)
    }

    async fn acknowledge(&mut self, wire: &mut Wire, owed: &mut Owed) -> Result<(), String> {
        let Owed { upto: Some((seq, cursor)), .. } = std::mem::take(owed) else { return Ok(()) };
        // Written first: it may be heard before the call returns.
        self.acknowledged(cursor);
        wire.acknowledge(seq, cursor).await
    }
}
