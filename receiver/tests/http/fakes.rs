//! A log and a store of keys in memory that work, and can be taken away; dead letters in an embedded store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use postrider_receiver::{Config, Ports, Service};
use shared::admin::Readiness;
use shared::clock::{ManualClock, Timestamp};
use shared::config::StoreSettings;
use shared::credential::ApiSecret;
use shared::log::{Appender, Entry, Error, Lag, Placed};
use shared::notification::Notification;
use shared::position::PartitionId;
use shared::recipient::TenantId;
use shared::record;
use shared::shutdown::Shutdown;
use shared::store::sqlite::Store;
use shared::store::{ApiKey, ApiKeys, Migrate as _};
use shared::topic::Topic;
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// How the log behaves.
#[derive(Clone, Default)]
pub(crate) enum Mood {
    #[default]
    Well,
    Away,
    Refusing,
    /// Takes no record larger than this.
    Small(usize),
    /// Takes records of every recipient but this.
    Without(&'static str),
    /// Answers only when it is given permits.
    Waiting(Arc<Semaphore>),
}

/// A log that keeps its records.
#[derive(Default)]
pub(crate) struct MemoryLog {
    entries: Mutex<Vec<Entry>>,
    mood: Mutex<Mood>,
    waiting: AtomicUsize,
}

impl MemoryLog {
    pub(crate) fn turn(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn notifications(&self) -> Vec<Notification> {
        self.entries.lock().unwrap().iter().map(|entry| record::decode(entry).unwrap().1).collect()
    }

    /// What stands on it.
    pub(crate) fn records(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// How many calls wait for a permit.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    fn keep(&self, entry: Entry) -> Placed {
        let mut entries = self.entries.lock().unwrap();
        entries.push(entry);
        Placed { partition: PartitionId(0), offset: entries.len() as u64 - 1 }
    }
}

#[async_trait]
impl Appender for MemoryLog {
    async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<Result<Placed, Error>> {
        assert_eq!(topic, Topic::Notifications);
        let mood = self.mood.lock().unwrap().clone();
        if let Mood::Waiting(permits) = &mood {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            permits.acquire().await.unwrap().forget();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        let answer = |entry: Entry| match &mood {
            Mood::Well | Mood::Waiting(_) => Ok(self.keep(entry)),
            Mood::Away => Err(Error::Unavailable(None)),
            Mood::Refusing => Err(Error::Rejected("no such topic".into())),
            Mood::Small(most) if entry.size_bytes() > *most => Err(Error::TooLarge),
            Mood::Without(name) if entry.key.ends_with(name.as_bytes()) => Err(Error::Unavailable(None)),
            Mood::Small(_) | Mood::Without(_) => Ok(self.keep(entry)),
        };
        entries.into_iter().map(answer).collect()
    }
}

#[async_trait]
impl Lag for MemoryLog {
    /// Nobody reads it.
    async fn lag(&self, _group: &str, topic: Topic) -> Result<u64, Error> {
        let entries = self.entries.lock().unwrap().len() as u64;
        Ok(if topic == Topic::Notifications { entries } else { 0 })
    }
}

/// A store of keys.
#[derive(Default)]
pub(crate) struct MemoryKeys {
    keys: Mutex<HashMap<[u8; 32], ApiKey>>,
    away: Mutex<bool>,
    silent: Mutex<bool>,
}

impl MemoryKeys {
    pub(crate) fn leave(&self) {
        *self.away.lock().unwrap() = true;
    }

    pub(crate) fn come_back(&self) {
        *self.away.lock().unwrap() = false;
        *self.silent.lock().unwrap() = false;
    }

    /// From now on nobody who asks for a key is answered.
    pub(crate) fn fall_silent(&self) {
        *self.silent.lock().unwrap() = true;
    }

    fn here(&self) -> Result<(), shared::store::Error> {
        if *self.away.lock().unwrap() { Err(shared::store::Error::Unavailable(None)) } else { Ok(()) }
    }
}

#[async_trait]
impl ApiKeys for MemoryKeys {
    async fn create_key(&self, key: &ApiKey) -> Result<(), shared::store::Error> {
        self.here()?;
        self.keys.lock().unwrap().insert(key.hash, key.clone());
        Ok(())
    }

    async fn find_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, shared::store::Error> {
        self.here()?;
        let silent = *self.silent.lock().unwrap();
        if silent {
            std::future::pending::<()>().await;
        }
        Ok(self.keys.lock().unwrap().get(hash).cloned())
    }

    async fn list_keys(
        &self,
        tenant: Option<&TenantId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, shared::store::Error> {
        self.here()?;
        let keys = self.keys.lock().unwrap();
        let own = keys.values().filter(|key| tenant.is_none_or(|tenant| *tenant == key.tenant));
        Ok(own.take(limit as usize).cloned().collect())
    }

    async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<bool, shared::store::Error> {
        self.here()?;
        let mut keys = self.keys.lock().unwrap();
        let key = keys.values_mut().find(|key| key.id == id);
        Ok(key.map(|key| key.revoked = Some(now)).is_some())
    }
}

/// A running receiver and what stands behind it.
pub(crate) struct Stage {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) keys: Arc<MemoryKeys>,
    pub(crate) clock: Arc<ManualClock>,
    /// Where all is that is no key.
    pub(crate) store: Arc<Store>,
    /// The text of a key of tenant `acme`.
    pub(crate) key: String,
    pub(crate) readiness: Readiness,
    pub(crate) service: tokio::task::JoinHandle<Result<(), postrider_receiver::Error>>,
    shutdown: Shutdown,
    _directory: TempDir,
}

/// When every test begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..config };
        let (log, keys) = (Arc::new(MemoryLog::default()), Arc::new(MemoryKeys::default()));
        let clock = Arc::new(ManualClock::at(START));
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store.db"), &StoreSettings::default()).unwrap();
        store.migrate().await.unwrap();
        let ports = Ports {
            appender: log.clone(),
            lag: log.clone(),
            keys: keys.clone(),
            dead_letters: store.clone(),
            tasks: store.clone(),
            modules: store.clone(),
            bindings: store.clone(),
            schedules: store.clone(),
            clock: clock.clone(),
        };
        let service = Service::bind(config, ports).await.unwrap();
        let (address, readiness, shutdown) = (service.address(), service.readiness(), Shutdown::new());
        let service = tokio::spawn(service.run(shutdown.clone()));
        let key = String::new();
        let mut stage = Self {
            address,
            log,
            keys,
            clock,
            store,
            key,
            readiness,
            service,
            shutdown,
            _directory: directory,
        };
        stage.key = stage.new_key("acme", None).await.1;
        stage
    }

    pub(crate) fn stop(&self) {
        self.shutdown.begin();
    }

    /// Makes a key; answers its id and its text.
    pub(crate) async fn new_key(&self, tenant: &str, expires: Option<Timestamp>) -> (String, String) {
        let tenant = TenantId::parse(tenant).unwrap();
        let (key, secret) = ApiSecret::generate(tenant, "test".into(), START, expires);
        self.keys.create_key(&key).await.unwrap();
        (key.id, secret.text().expose().to_owned())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}
