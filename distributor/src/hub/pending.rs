//! What waits to be done in batches: filled under a session's lock, without waiting, and emptied by the loops of the
//! output edges. Its bound is its filler's: at most one question of a kind per session.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::lock;

/// Waiting work in order.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    waiting: Mutex<VecDeque<T>>,
    filled: Notify,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), filled: Notify::new() }
    }
}

impl<T> Pending<T> {
    /// Puts one behind the others.
    pub(crate) fn push(&self, item: T) {
        lock(&self.waiting).push_back(item);
        self.filled.notify_one();
    }

    /// Puts all behind the others.
    pub(crate) fn extend(&self, items: impl IntoIterator<Item = T>) {
        lock(&self.waiting).extend(items);
        self.filled.notify_one();
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// At most `max`, without waiting.
    pub(crate) fn take(&self, max: usize) -> Vec<T> {
        let mut waiting = lock(&self.waiting);
        let count = waiting.len().min(max);
        let taken = waiting.drain(..count).collect();
        if waiting.is_empty() {
            waiting.shrink_to(max);
        } else {
            // Another worker may take the rest at once.
            self.filled.notify_one();
        }
        taken
    }

    /// Waits until something was put in. May return for nothing.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn filled(&self) {
        if lock(&self.waiting).is_empty() {
            self.filled.notified().await;
        }
    }

    /// Waits for something and takes at most `max`; never empty.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken before it returns.
    pub(crate) async fn next(&self, max: usize) -> Vec<T> {
        loop {
            let taken = self.take(max);
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }
}
