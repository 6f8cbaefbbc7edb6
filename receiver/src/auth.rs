//! Whose producer a request comes from: API keys, looked up by the hash of their secret, cached so that the store is
//! asked rarely and may be away: then nobody whose key is cached waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, header};
use moka::sync::Cache;
use shared::clock::{Clock, Timestamp};
use shared::credential::ApiSecret;
use shared::store::{ApiKey, ApiKeys};
use tokio::sync::Semaphore;

use crate::config::KeySettings;
use crate::metrics;
use crate::refusal::{Reason, Refusal};

type Hash = [u8; 32];

/// Tells tenants by their keys.
pub(crate) struct Authenticator {
    keys: Arc<dyn ApiKeys>,
    clock: Arc<dyn Clock>,
    settings: KeySettings,
    known: Cache<Hash, Known>,
    /// Since when a hash is known to be nobody's.
    unknown: Cache<Hash, Timestamp>,
    lookups: Semaphore,
    /// Until when the store is taken to be away, in milliseconds; it did not answer shortly before.
    away_until_ms: AtomicU64,
    /// One look-up at a time finds out whether it is back.
    aside: Arc<Semaphore>,
}

#[derive(Clone)]
struct Known {
    key: Arc<ApiKey>,
    /// When the store last said so.
    verified: Timestamp,
    /// When to ask again.
    ask_at: Timestamp,
}

impl Authenticator {
    pub(crate) fn new(keys: Arc<dyn ApiKeys>, clock: Arc<dyn Clock>, settings: KeySettings) -> Self {
        Self {
            keys,
            clock,
            known: Cache::new(settings.cached),
            unknown: Cache::new(settings.cached),
            lookups: Semaphore::new(settings.lookups),
            away_until_ms: AtomicU64::new(0),
            aside: Arc::new(Semaphore::new(1)),
            settings,
        }
    }

    /// The key that the request carries, and with it its tenant.
    ///
    /// # Errors
    /// [`Reason::Unauthorized`], the same for every kind of bad key; [`Reason::CredentialsUnavailable`] when the store
    /// is away and the key is not cached, for then nobody knows.
    pub(crate) async fn key(self: &Arc<Self>, headers: &HeaderMap) -> Result<Arc<ApiKey>, Refusal> {
        let secret = presented(headers).ok_or_else(refused)?;
        let key = self.find(&secret.hash()).await?.ok_or_else(refused)?;
        let now = self.clock.now();
        let live = key.revoked.is_none() && key.expires.is_none_or(|expires| now < expires);
        if secret.opens(&key) && live { Ok(key) } else { Err(refused()) }
    }

    async fn find(self: &Arc<Self>, hash: &Hash) -> Result<Option<Arc<ApiKey>>, Refusal> {
        if let Some(answer) = self.cached(hash) {
            metrics::key_lookup("cache");
            return Ok(answer);
        }
        if self.is_away()
            && let Some(key) = self.outdated(hash)
        {
            self.ask_aside(*hash);
            return Ok(Some(key));
        }
        if let Some(answer) = self.in_time(self.ask(hash)).await {
            return Ok(answer);
        }
        self.outdated(hash).map(Some).ok_or_else(|| {
            metrics::key_lookup("none");
            Refusal::plain(Reason::CredentialsUnavailable)
        })
    }

    /// What a look-up finds; none when the store does not say it in time.
    async fn in_time<T>(&self, look_up: impl Future<Output = Result<T, shared::store::Error>>) -> Option<T> {
        match tokio::time::timeout(self.settings.lookup_ms, look_up).await {
            Ok(Ok(answer)) => {
                self.away_until_ms.store(0, Ordering::Relaxed);
                return Some(answer);
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error), "keys cannot be looked up");
            }
            Err(_elapsed) => tracing::warn!("keys cannot be looked up in time"),
        }
        // Until after the next try, so that the one after it need not wait either.
        let until = self.clock.now().after(self.settings.retry_ms.saturating_mul(2));
        self.away_until_ms.store(until.as_millis(), Ordering::Relaxed);
        None
    }

    fn is_away(&self) -> bool {
        self.clock.now().as_millis() < self.away_until_ms.load(Ordering::Relaxed)
    }

    /// Looks up beside the request, which has an answer; one at a time, and no longer than a look-up may take.
    fn ask_aside(self: &Arc<Self>, hash: Hash) {
        let Ok(place) = Arc::clone(&self.aside).try_acquire_owned() else { return };
        let authenticator = Arc::clone(self);
        tokio::spawn(async move {
            // The answer is in the cache by now, if there is one.
            let _answer = authenticator.in_time(authenticator.ask_store(&hash)).await;
            drop(place);
        });
    }

    /// What the caches say, where they are fresh.
    fn cached(&self, hash: &Hash) -> Option<Option<Arc<ApiKey>>> {
        let now = self.clock.now();
        if let Some(known) = self.known.get(hash).filter(|known| now < known.ask_at) {
            return Some(Some(known.key));
        }
        let since = self.unknown.get(hash)?;
        (now.since(since) < self.settings.unknown_ms).then_some(None)
    }

    async fn ask(&self, hash: &Hash) -> Result<Option<Arc<ApiKey>>, shared::store::Error> {
        let _place =
            self.lookups.acquire().await.map_err(|_closed| shared::store::Error::Unavailable(None))?;
        // Who waited for a place may find the answer that another brought.
        if let Some(answer) = self.cached(hash) {
            return Ok(answer);
        }
        self.ask_store(hash).await
    }

    /// Asks whatever the caches say.
    async fn ask_store(&self, hash: &Hash) -> Result<Option<Arc<ApiKey>>, shared::store::Error> {
        let found = self.keys.find_key(hash).await?.map(Arc::new);
        metrics::key_lookup("store");
        let now = self.clock.now();
        match &found {
            Some(key) => {
                let ask_at = now.after(self.settings.fresh_ms);
                self.known.insert(*hash, Known { key: Arc::clone(key), verified: now, ask_at });
                self.unknown.invalidate(hash);
            }
            None => {
                self.unknown.insert(*hash, now);
                self.known.invalidate(hash);
            }
        }
        Ok(found)
    }

    /// What the store said before it was away, for so long as that may be trusted.
    fn outdated(&self, hash: &Hash) -> Option<Arc<ApiKey>> {
        let now = self.clock.now();
        let mut known =
            self.known.get(hash).filter(|known| now.since(known.verified) < self.settings.stale_ms)?;
        metrics::key_lookup("outdated");
        known.ask_at = now.after(self.settings.retry_ms);
        self.known.insert(*hash, known.clone());
        Some(known.key)
    }
}

fn refused() -> Refusal {
    Refusal::plain(Reason::Unauthorized)
}

/// The secret of `Authorization: Bearer` or of `X-Api-Key`: one of them, once.
fn presented(headers: &HeaderMap) -> Option<ApiSecret> {
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter();
    let mut keys = headers.get_all("x-api-key").iter();
    let text = match (bearers.next(), keys.next()) {
        (Some(value), None) => {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())?
        }
        (None, Some(value)) => value.to_str().ok()?.trim(),
        (None, None) | (Some(_), Some(_)) => return None,
    };
    if bearers.next().is_some() || keys.next().is_some() {
        return None;
    }
    ApiSecret::parse(text).ok()
}
