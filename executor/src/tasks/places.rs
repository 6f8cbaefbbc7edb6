//! How many tasks are under way: in all, of each module of a tenant, and each task once. Who waits here has begun nothing
//! and holds nothing that another module could have.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use shared::recipient::TenantId;
use shared::store::TaskKey;
use shared::task::ModuleName;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places of this process.
pub(crate) struct Places {
    running: Arc<Semaphore>,
    most: usize,
    per_module: usize,
    modules: Mutex<Modules>,
    under_way: Mutex<HashSet<TaskKey>>,
    freed: Notify,
}

/// The places of each module that somebody runs or waits for, and how many entries there may be before those that nobody
/// does are dropped.
struct Modules {
    places: HashMap<(TenantId, ModuleName), Weak<Semaphore>>,
    sweep_at: usize,
}

/// Fewer entries are not worth looking through.
const FEW_MODULES: usize = 1024;

/// The right to run, until it is dropped.
pub(crate) struct Place {
    _module: OwnedSemaphorePermit,
    _process: OwnedSemaphorePermit,
}

/// A task that nobody else in this process is at, until this is dropped.
pub(crate) struct Claim {
    places: Arc<Places>,
    key: TaskKey,
}

impl Places {
    /// `most` in all, `per_module` of each module of a tenant.
    pub(crate) fn new(most: usize, per_module: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(most)),
            most,
            per_module,
            modules: Mutex::new(Modules { places: HashMap::new(), sweep_at: FEW_MODULES }),
            under_way: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// Waits for a place, first of the module, then of the process.
    ///
    /// # Cancel safety
    /// Nothing is held when it is dropped.
    pub(crate) async fn take(&self, tenant: &TenantId, module: &ModuleName) -> Place {
        let module = self.of(tenant, module).acquire_owned().await;
        let process = Arc::clone(&self.running).acquire_owned().await;
        match (module, process) {
            (Ok(module), Ok(process)) => Place { _module: module, _process: process },
            // Semaphores are never closed.
            (Err(_), _) | (_, Err(_)) => std::future::pending().await,
        }
    }

    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.most - self.running.available_permits()
    }

    fn of(&self, tenant: &TenantId, module: &ModuleName) -> Arc<Semaphore> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let Modules { places, sweep_at } = &mut *modules;
        let key = (tenant.clone(), module.clone());
        if let Some(own) = places.get(&key).and_then(Weak::upgrade) {
            return own;
        }
        if places.len() >= *sweep_at {
            places.retain(|_, own| own.strong_count() > 0);
            // Twice what is in use, so that looking through all is rare.
            *sweep_at = FEW_MODULES.max(2 * places.len());
        }
        let own = Arc::new(Semaphore::new(self.per_module));
        places.insert(key, Arc::downgrade(&own));
        own
    }

    /// Claims a task, if nobody in this process is at it.
    pub(crate) fn try_claim(self: &Arc<Self>, key: &TaskKey) -> Option<Claim> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let free = under_way.insert(key.clone());
        free.then(|| Claim { places: Arc::clone(self), key: key.clone() })
    }

    /// Claims a task as soon as nobody else in this process is at it.
    ///
    /// # Cancel safety
    /// Nothing is claimed when it is dropped.
    pub(crate) async fn claim(self: &Arc<Self>, key: &TaskKey) -> Claim {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Before looking, so that nothing is missed in between.
            freed.as_mut().enable();
            if let Some(claim) = self.try_claim(key) {
                return claim;
            }
            freed.await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.places.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::notification::NotificationId;

    use super::*;

    #[tokio::test]
    async fn a_module_at_its_limit_leaves_places_to_others_and_a_task_is_claimed_once() {
        let places = Arc::new(Places::new(3, 2));
        let acme = TenantId::parse("acme").unwrap();
        let (busy, other) = (ModuleName::parse("busy").unwrap(), ModuleName::parse("other").unwrap());
        let held = [places.take(&acme, &busy).await, places.take(&acme, &busy).await];
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, places.take(&acme, &busy)).await.is_err());
        assert!(tokio::time::timeout(soon, places.take(&acme, &other)).await.is_ok());
        assert_eq!(places.running(), 2);
        drop(held);
        assert_eq!(places.running(), 0);

        let key = TaskKey { tenant: acme, id: NotificationId::parse("n-1").unwrap() };
        let claim = places.claim(&key).await;
        assert!(places.try_claim(&key).is_none());
        let waiting = async { drop(places.claim(&key).await) };
        let freeing = async { drop(claim) };
        tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(biased; waiting, freeing) })
            .await
            .unwrap();
    }
}
