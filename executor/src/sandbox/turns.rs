//! How many attempts run and wait, in all and of each module. Who finds no place is told so at once or after `wait_ms`:
//! nobody waits without a limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;
use crate::config::TurnSettings;
use shared::digest::Digest;

/// The turns of this process.
#[derive(Debug)]
pub(super) struct Turns {
    settings: TurnSettings,
    running: Arc<Semaphore>,
    waiting: Semaphore,
    modules: Mutex<HashMap<Digest, Weak<Semaphore>>>,
}

/// The right to run, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _module: OwnedSemaphorePermit,
    _process: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new(settings: TurnSettings) -> Self {
        Self {
            running: Arc::new(Semaphore::new(settings.running as usize)),
            waiting: Semaphore::new(settings.waiting),
            modules: Mutex::default(),
            settings,
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.settings.waiting - self.waiting.available_permits()
    }

    /// Waits for a turn of `module`. Its own places come first: what waits because its module is busy holds no place
    /// that another module could have.
    ///
    /// # Errors
    /// [`Failure::Busy`] when as many wait as may, or the wait was too long.
    ///
    /// # Cancel safety
    /// Nothing is held when it is dropped.
    pub(super) async fn take(&self, module: &Digest) -> Result<Turn, Failure> {
        let places = self.places(module);
        if let Some(turn) = self.try_take(&places) {
            return Ok(turn);
        }
        let _waits = self.waiting.try_acquire().map_err(|_full| Failure::Busy)?;
        let both = async {
            let module = places.acquire_owned().await;
            let process = Arc::clone(&self.running).acquire_owned().await;
            (module, process)
        };
        match tokio::time::timeout(self.settings.wait_ms, both).await {
            Ok((Ok(module), Ok(process))) => Ok(Turn { _module: module, _process: process }),
            // Semaphores are never closed; one that is lets nobody in.
            Ok(_closed) => Err(Failure::Busy),
            Err(_elapsed) => Err(Failure::Busy),
        }
    }

    fn try_take(&self, places: &Arc<Semaphore>) -> Option<Turn> {
        let module = Arc::clone(places).try_acquire_owned().ok()?;
        let process = Arc::clone(&self.running).try_acquire_owned().ok()?;
        Some(Turn { _module: module, _process: process })
    }

    /// The places of a module, which live as long as somebody runs or waits there.
    fn places(&self, module: &Digest) -> Arc<Semaphore> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = modules.get(module).and_then(Weak::upgrade) {
            return places;
        }
        // At most as many are alive as attempts run and wait, so what is kept stays below twice that.
        if modules.len() > self.settings.running as usize + self.settings.waiting {
            modules.retain(|_, places| places.strong_count() > 0);
        }
        let places = Arc::new(Semaphore::new(self.settings.per_module as usize));
        modules.insert(*module, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn turns(running: u32, per_module: u32, waiting: usize, wait_ms: u64) -> Turns {
        let wait_ms = Duration::from_millis(wait_ms);
        Turns::new(TurnSettings { running, per_module, waiting, wait_ms })
    }

    #[tokio::test]
    async fn a_module_at_its_limit_waits_while_another_runs() {
        let turns = turns(3, 2, 8, 10);
        let (busy, other) = (Digest::of(b"busy"), Digest::of(b"other"));
        let held = [turns.take(&busy).await.unwrap(), turns.take(&busy).await.unwrap()];
        assert_eq!(turns.take(&busy).await.unwrap_err(), Failure::Busy);
        assert!(turns.take(&other).await.is_ok());
        drop(held);
        assert!(turns.take(&busy).await.is_ok());
    }

    #[tokio::test]
    async fn one_more_than_may_wait_is_told_at_once() {
        let turns = turns(1, 1, 1, 3_600_000);
        let digest = Digest::of(b"module");
        let running = turns.take(&digest).await.unwrap();
        let waiting = async { turns.take(&digest).await.map(|_turn| ()) };
        let refused = async {
            assert_eq!(turns.waiting(), 1);
            assert_eq!(turns.take(&digest).await.unwrap_err(), Failure::Busy);
            drop(running);
        };
        let both = async { tokio::join!(biased; waiting, refused).0 };
        assert_eq!(tokio::time::timeout(Duration::from_secs(60), both).await.unwrap(), Ok(()));
        assert_eq!(turns.waiting(), 0);
    }

    #[tokio::test]
    async fn modules_that_are_gone_are_forgotten() {
        let turns = turns(1, 1, 1, 10);
        for number in 0..1000_u32 {
            turns.take(&Digest::of(&number.to_be_bytes())).await.unwrap();
        }
        assert!(turns.modules.lock().unwrap().len() <= 3);
    }
}
