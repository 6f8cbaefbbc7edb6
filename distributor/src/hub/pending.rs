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

    /// Forgets those that nobody wants any more, once more than `most` wait: an engine that is away must not let what
    /// came and went meanwhile pile up.
    pub(crate) fn prune(&self, most: usize, wanted: impl FnMut(&T) -> bool) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() > most {
            waiting.retain(wanted);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wants_goes_once_more_wait_than_may() {
        let pending = Pending::default();
        pending.extend(0..10);
        pending.prune(10, |item| item % 2 == 0);
        assert_eq!(pending.len(), 10);
        pending.prune(9, |item| item % 2 == 0);
        assert_eq!(pending.take(99), [0, 2, 4, 6, 8]);
    }

    #[tokio::test]
    async fn what_one_worker_leaves_wakes_the_next() {
        let pending = Pending::default();
        pending.extend(0..3);
        assert_eq!(pending.next(2).await, [0, 1]);
        assert_eq!(pending.next(2).await, [2]);
    }
}
