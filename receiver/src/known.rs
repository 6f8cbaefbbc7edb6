//! What the store said last, remembered: so that it is asked rarely, and may be away.

use std::hash::Hash;
use std::sync::Arc;

use moka::sync::Cache;
use shared::clock::{Clock, Timestamp};
use shared::store;
use tokio::sync::Semaphore;

use crate::config::LookupSettings;
use crate::metrics;
use crate::refusal::Refusal;

/// Values of the store by key. While the store is away the last known one is good, however old it is.
pub(crate) struct Known<K, V> {
    values: Cache<K, Remembered<V>>,
    places: Semaphore,
    clock: Arc<dyn Clock>,
    settings: LookupSettings,
    /// What is remembered, for the metric.
    of: &'static str,
}

#[derive(Clone)]
struct Remembered<V> {
    value: V,
    /// When to ask again.
    ask_at: Timestamp,
}

impl<K, V> Known<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(of: &'static str, settings: LookupSettings, clock: Arc<dyn Clock>) -> Self {
        let (values, places) = (Cache::new(settings.cached), Semaphore::new(settings.lookups));
        Self { values, places, clock, settings, of }
    }

    /// What is known of `key`; what `ask` answers where that is nothing, or old.
    ///
    /// # Errors
    /// When nothing is known and the store is away, or refuses.
    pub(crate) async fn get(
        &self,
        key: &K,
        ask: impl Future<Output = Result<V, store::Error>>,
    ) -> Result<V, Refusal> {
        let now = self.clock.now();
        let Some(old) = self.values.get(key) else { return self.ask(key, ask).await };
        if now < old.ask_at {
            metrics::lookup(self.of, "cache");
            return Ok(old.value);
        }
        // Whoever comes meanwhile goes on with what is known: one at a time waits for a store that is away.
        let ask_at = now.after(self.settings.retry_ms);
        self.values.insert(key.clone(), Remembered { value: old.value.clone(), ask_at });
        Ok(self.ask(key, ask).await.unwrap_or_else(|_told| {
            metrics::lookup(self.of, "outdated");
            old.value
        }))
    }

    /// What the store says of `key` now; what is known of it only when the store does not say.
    ///
    /// # Errors
    /// As [`Known::get`].
    pub(crate) async fn now(
        &self,
        key: &K,
        ask: impl Future<Output = Result<V, store::Error>>,
    ) -> Result<V, Refusal> {
        let answer = self.ask(key, ask).await;
        answer.or_else(|refusal| self.values.get(key).map(|old| old.value).ok_or(refusal))
    }

    /// Forgets `key`, after it was changed here.
    pub(crate) fn forget(&self, key: &K) {
        self.values.invalidate(key);
    }

    /// Forgets all that `which` names.
    pub(crate) fn forget_all(&self, which: impl Fn(&K) -> bool) {
        for (key, _value) in &self.values {
            if which(&key) {
                self.values.invalidate(&*key);
            }
        }
    }

    async fn ask(&self, key: &K, ask: impl Future<Output = Result<V, store::Error>>) -> Result<V, Refusal> {
        let asking = async {
            let _place = self.places.acquire().await.map_err(|_closed| store::Error::Unavailable(None))?;
            ask.await
        };
        let value = crate::stored::within(self.settings.lookup_ms, asking).await?;
        metrics::lookup(self.of, "store");
        let ask_at = self.clock.now().after(self.settings.fresh_ms);
        self.values.insert(key.clone(), Remembered { value: value.clone(), ask_at });
        Ok(value)
    }
}
