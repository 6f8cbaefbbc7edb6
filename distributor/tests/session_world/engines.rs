//! Registry, store and both stages of the archiver, as much of them as one recipient meets.

use rand::Rng as _;
use shared::clock::Timestamp;
use shared::position::Cursor;
use shared::registry::Flag;
use shared::store::{Page, StoredRow};

use super::fixture::{at, notification};
use super::world::World;

impl World {
    /// One snapshot of what is stored.
    pub(crate) fn page(&self, from: Cursor, limit: u32) -> Page {
        let far = Timestamp::from_millis(u64::MAX);
        let above = self.rows.range(from.next..);
        let rows: Vec<StoredRow> = above
            .clone()
            .take(limit as usize)
            .map(|offset| StoredRow {
                position: at(*offset),
                notification: (*notification(*offset, far)).clone(),
            })
            .collect();
        Page { more: above.count() > rows.len(), rows, gaps: Vec::new(), archived_upto: self.archived }
    }

    /// Carries out a batch of deletions.
    pub(crate) fn delete(&mut self) {
        if self.store_up {
            for cursor in std::mem::take(&mut self.deletes) {
                self.rows.retain(|offset| *offset >= cursor.next);
            }
        }
    }

    /// One step of the flags stage. Where the registry lost its content it starts over from what the store knows.
    pub(crate) fn flags_stage(&mut self) {
        if !self.registry_up {
            return;
        }
        match (self.flagged, self.rescanned) {
            (None, None) if self.store_up => {
                if !self.rows.is_empty() {
                    self.flag = (Flag::Backlog, self.flag.1.max(self.archived));
                }
                self.rescanned = Some(self.archived);
            }
            (None, upto) => self.flagged = upto,
            (Some(upto), _) if upto < self.parked.len() as u64 => {
                if self.flag.0 == Flag::Backlog && self.flag.1 > upto || self.random.random_bool(0.5) {
                    self.flagged = Some(upto + 1);
                }
                self.flag = (Flag::Backlog, self.flag.1.max(upto + 1));
            }
            (Some(_), _) => {}
        }
    }

    /// One step of the rows stage.
    pub(crate) fn rows_stage(&mut self) {
        if self.store_up {
            let upto = (self.archived + self.random.random_range(1..4)).min(self.parked.len() as u64);
            self.rows.extend(&self.parked[self.archived as usize..upto as usize]);
            self.archived = upto;
        }
    }

    pub(crate) fn registry_loses_all(&mut self) {
        self.routes.clear();
        (self.flag, self.flagged, self.rescanned) = ((Flag::Unknown, 0), None, None);
        self.registry_epoch += 1;
    }
}
