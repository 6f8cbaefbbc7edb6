//! A client as the product's users write it: through the client library, behind a balancer.

use std::time::Duration;

use postrider::client::{Incoming, Listener, Notification, Options};
use shared::position::Cursor;
use shared::retry::Backoff;
use tokio::time::Instant;

use super::{Client, Left, Stage, until};
use crate::stack::ledger::entry::{Entry, How};
use crate::stack::load::wire::Mark;

impl Client {
    pub(super) async fn visit_with_library(&mut self, how: How, due: Option<Instant>) -> Left {
        let mut options = Options::new(self.places.front(), self.token.clone())
            .over(how.transport)
            .from_cursor(self.cursor.map(|cursor| cursor.encode()));
        options.backoff = Backoff { cap: self.mix.reconnect_cap, ..options.backoff };
        let mut listener = Listener::new(options).unwrap();
        loop {
            tokio::select! {
                incoming = listener.next() => match incoming {
                    Ok(incoming) => {
                        if let Some(cursor) = self.heard(how, incoming) {
                            self.acknowledged(cursor);
                            listener.acknowledge(&cursor.encode());
                        }
                    }
                    Err(refused) => panic!("recipient {}: {refused}", self.recipient),
                },
                () = until(due) => break,
                _changed = self.stage.changed() => {
                    if due.is_some() || *self.stage.borrow() == Stage::Over {
                        break;
                    }
                }
            }
        }
        let _late = tokio::time::timeout(Duration::from_secs(5), listener.close()).await;
        Left::AsPlanned
    }

    /// Writes down what came; answers what is to be acknowledged.
    fn heard(&mut self, how: How, incoming: Incoming) -> Option<Cursor> {
        let (recipient, session) = (self.recipient, self.session);
        match incoming {
            Incoming::Opened { .. } => {
                self.opened(how);
                None
            }
            Incoming::Notification(Notification { id, cursor, content, .. }) => {
                let id = id.parse().expect("ids are UUIDs");
                let cursor = Cursor::decode(&cursor).expect("a cursor of ours");
                let mark = serde_json::from_slice(&content).map(|content| Mark::of(&content));
                let attempt = mark.unwrap_or_default().attempt;
                self.ledger.write(Entry::Came { recipient, session, attempt, id, cursor });
                Some(cursor)
            }
            Incoming::Gap(gap) => {
                let cursor = Cursor::decode(&gap.cursor).expect("a cursor of ours");
                let count = |cause: &str| gap.causes.get(cause).copied().unwrap_or_default();
                let (expired, over_quota) = (count("expired"), count("over_quota"));
                let from = Cursor::decode(&gap.from).expect("a cursor of ours");
                self.ledger.write(Entry::Gap { recipient, session, expired, over_quota, from, cursor });
                Some(cursor)
            }
            Incoming::Drained { .. } => None,
            Incoming::Interrupted { .. } => {
                // The listener comes back by itself; what comes then is another connection's.
                self.session += 1;
                None
            }
        }
    }
}
