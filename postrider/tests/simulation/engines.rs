//! The engines: how calls to them go wrong, the log, and the store as its port's contract has it. The registry is the
//! product's own adapter in memory.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt as _;
use rand::Rng as _;
use shared::clock::Timestamp;
use shared::log::Entry;
use shared::notification::Notification;
use shared::position::{Cursor, Position};
use shared::recipient::Recipient;
use shared::registry;
use shared::store::{GapCause, GapRow, Page, StoredRow};

use super::fixture::at;
use super::schedule::At;
use super::world::World;

/// How long an unanswered call is waited for, in milliseconds.
const CALL_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Log,
    Registry,
    Store,
}

/// How an engine does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Well,
    /// It answers nobody.
    Away,
    /// Some calls are refused, some are done and not answered, some are done long after they were given up.
    Flaky,
}

/// What becomes of one call.
enum Fate {
    Done,
    Refused,
    Unanswered,
    Late(u64),
}

impl World {
    pub(crate) fn health(&mut self, engine: Engine) -> &mut Health {
        match engine {
            Engine::Log => &mut self.log.health,
            Engine::Registry => &mut self.registry_health,
            Engine::Store => &mut self.store.health,
        }
    }

    fn fate(&mut self, engine: Engine) -> Fate {
        match *self.health(engine) {
            Health::Well => Fate::Done,
            Health::Away => Fate::Refused,
            Health::Flaky => match self.random.random_range(0..10) {
                0..5 => Fate::Done,
                5 | 6 => Fate::Refused,
                7 => Fate::Unanswered,
                _ => Fate::Late(self.random.random_range(0..8_000)),
            },
        }
    }

    /// Calls an engine from a process: `apply` happens there, `done` hears of it, `None` being a failure whose outcome is
    /// unknown.
    pub(crate) fn call<T: 'static>(
        &mut self,
        caller: At,
        engine: Engine,
        apply: impl FnOnce(&mut World) -> T + 'static,
        done: impl FnOnce(&mut World, Option<T>) + 'static,
    ) {
        let there = self.hop();
        self.after(there, At::Outside, move |world| {
            let back = world.hop();
            match world.fate(engine) {
                Fate::Done => {
                    let answer = apply(world);
                    world.after(back, caller, move |world| done(world, Some(answer)));
                }
                Fate::Refused => world.after(back, caller, move |world| done(world, None)),
                Fate::Unanswered => {
                    apply(world);
                    world.after(CALL_MS, caller, move |world| done(world, None));
                }
                Fate::Late(later) => {
                    world.after(later, At::Outside, move |world| drop(apply(world)));
                    world.after(CALL_MS, caller, move |world| done(world, None));
                }
            }
        });
    }

    /// Calls until there is an answer, or `wanted` says that nobody waits for it any more.
    pub(crate) fn persist<T: 'static>(
        &mut self,
        caller: At,
        engine: Engine,
        wanted: Rc<dyn Fn(&World) -> bool>,
        apply: Rc<dyn Fn(&mut World) -> T>,
        done: impl FnOnce(&mut World, T) + 'static,
    ) {
        let again = Rc::clone(&apply);
        self.call(
            caller,
            engine,
            move |world| apply(world),
            move |world, answer| {
                if !wanted(world) {
                    return;
                }
                match answer {
                    Some(answer) => done(world, answer),
                    None => {
                        let pause = world.random.random_range(10..1_000);
                        world.after(pause, caller, move |world| {
                            world.persist(caller, engine, wanted, again, done);
                        });
                    }
                }
            },
        );
    }

    /// Calls the registry, which is in this process and never waits.
    pub(crate) fn ask_registry<T>(
        &self,
        call: impl Future<Output = Result<T, registry::Error>>,
    ) -> Result<T, registry::Error> {
        call.now_or_never().expect("the registry in memory never waits")
    }
}

/// One partition of one topic; offsets may have gaps.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) end: u64,
}

impl Records {
    /// Appends at the end, or a little further.
    pub(crate) fn append(&mut self, entry: Entry, gap: u64) -> u64 {
        let offset = self.end + gap;
        self.entries.insert(offset, entry);
        self.end = offset + 1;
        offset
    }
}

/// One partition of every topic, and what its groups committed.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) notifications: Records,
    pub(crate) parked: Records,
    pub(crate) committed: u64,
    /// The worker whose commits count.
    pub(crate) owner: Option<usize>,
    /// What each stage of the archiver committed.
    pub(crate) archived: [u64; 2],
}

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) health: Health,
    pub(crate) partitions: Vec<Partition>,
}

/// What is stored for one recipient.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) rows: BTreeMap<u64, Arc<Notification>>,
    pub(crate) gap: Option<GapRow>,
}

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) health: Health,
    pub(crate) archived: Vec<u64>,
    pub(crate) inboxes: BTreeMap<Recipient, Inbox>,
}

/// What stands there is not what was expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conflict;

impl Store {
    pub(crate) fn archive(
        &mut self,
        partition: usize,
        (from, to): (u64, u64),
        rows: &[StoredRow],
        now: Timestamp,
    ) -> Result<(), Conflict> {
        if self.archived[partition] != from {
            return Err(Conflict);
        }
        self.archived[partition] = to;
        for row in rows {
            let inbox = self.inboxes.entry(row.notification.recipient.clone()).or_default();
            if inbox.rows.contains_key(&row.position.offset) {
                continue;
            }
            if row.notification.is_expired(now) {
                inbox.miss(row.position);
            } else {
                inbox.rows.insert(row.position.offset, Arc::new(row.notification.clone()));
            }
        }
        Ok(())
    }

    pub(crate) fn page(&self, recipient: &Recipient, partition: usize, from: Cursor, limit: u32) -> Page {
        let archived_upto = self.archived[partition];
        let Some(inbox) = self.inboxes.get(recipient) else {
            return Page { archived_upto, ..Page::default() };
        };
        let above = |offset: &u64| !from.covers(at(partition, *offset));
        let mut rows = inbox.rows.iter().filter(|(offset, _)| above(offset));
        let row = |(offset, notification): (&u64, &Arc<Notification>)| StoredRow {
            position: at(partition, *offset),
            notification: (**notification).clone(),
        };
        let page = rows.by_ref().take(limit as usize).map(row).collect();
        let gaps = inbox.gap.into_iter().collect();
        Page { rows: page, more: rows.next().is_some(), gaps, archived_upto }
    }

    pub(crate) fn delete(&mut self, recipient: &Recipient, partition: usize, cursor: Cursor) {
        let Some(inbox) = self.inboxes.get_mut(recipient) else { return };
        inbox.rows.retain(|offset, _| !cursor.covers(at(partition, *offset)));
        inbox.gap = inbox.gap.filter(|gap| !cursor.covers(gap.last));
    }

    pub(crate) fn expire(&mut self, now: Timestamp, partition_of: impl Fn(&Recipient) -> usize) {
        for (recipient, inbox) in &mut self.inboxes {
            let expired: Vec<u64> = (inbox.rows.iter())
                .filter(|(_, notification)| notification.is_expired(now))
                .map(|(offset, _)| *offset)
                .collect();
            for offset in expired {
                inbox.rows.remove(&offset);
                inbox.miss(at(partition_of(recipient), offset));
            }
        }
    }

    pub(crate) fn recipients(&self, wanted: impl Fn(&Recipient) -> bool) -> Vec<Recipient> {
        let with_rows = self.inboxes.iter().filter(|(_, inbox)| !inbox.rows.is_empty());
        with_rows.map(|(recipient, _)| recipient.clone()).filter(wanted).collect()
    }
}

impl Inbox {
    fn miss(&mut self, position: Position) {
        let fresh = GapRow { cause: GapCause::Expired, count: 0, first: position, last: position };
        let gap = self.gap.get_or_insert(fresh);
        gap.count += 1;
        (gap.first, gap.last) = (gap.first.min(position), gap.last.max(position));
    }
}
