//! Engines of a test's own, and executors that run on them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_executor::{Config, Ports, Service};
use shared::clock::{Clock, SystemClock, Timestamp};
use shared::config::BackoffSettings;
use shared::log::{Appender as _, Commits as _, Ends as _, Entry, Fetched, Reader as _};
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::PartitionId;
use shared::recipient::{Recipient, TenantId};
use shared::record::{self, Kind, dead};
use shared::shutdown::Shutdown;
use shared::store::{TaskFilter, TaskKey, TaskReview as _, TaskRuns, TaskStep, TaskSummary};
use shared::task::{Enrichment, ModuleRef, OnTimeout, Order, Origin, TaskState};
use shared::topic::{Topic, partition_of};
use tokio::task::JoinHandle;

use crate::engines::{self, Kept, Log, Tasks};
use crate::shelf::Shelf;

const PARTITIONS: u32 = 3;
const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `holds`, and fails after a while.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {DEADLINE:?}: {what}");
}

/// The engines.
pub(crate) struct Stage {
    pub(crate) config: Config,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) store: Arc<Tasks>,
    /// What executors write to; the store, if nothing is put in its place.
    pub(crate) runs: Arc<dyn TaskRuns>,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    _kept: Kept,
}

/// An executor that runs.
pub(crate) struct Executor {
    shutdown: Shutdown,
    task: JoinHandle<Result<(), postrider_executor::Error>>,
}

impl Executor {
    /// Ends it as a crash would: nothing is finished, nothing is given back.
    pub(crate) async fn die(self) {
        self.task.abort();
        let _aborted = self.task.await;
    }

    /// Stops it and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        self.task.await.unwrap().unwrap();
    }
}

/// Short times, and limits that a guest reaches soon.
fn config() -> Config {
    let backoff = BackoffSettings { base_ms: Duration::from_millis(20), cap_ms: Duration::from_millis(100) };
    let mut config = Config { drain_ms: Duration::from_millis(500), backoff, ..Config::default() };
    config.tasks.lease_ms = Duration::from_millis(900);
    config.tasks.attempts = 4;
    config.tasks.backoff = backoff;
    config.reaper.poll_ms = Duration::from_millis(50);
    config.enrichment.backoff = backoff;
    config.enrichment.attempts = 3;
    config.catalogue.refresh_ms = Duration::from_millis(50);
    config.catalogue.lookup_ms = Duration::from_millis(200);
    config.sandbox.memory_bytes = 4 * 1024 * 1024;
    config.sandbox.fuel = 5_000_000;
    config.sandbox.deadline_ms = Duration::from_secs(600);
    (config.sandbox.turns.running, config.sandbox.turns.per_module) = (8, 8);
    (config.tasks.running, config.tasks.per_module) = (6, 4);
    config
}

impl Stage {
    pub(crate) async fn open() -> Self {
        let (log, store, kept) = engines::open(PARTITIONS).await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (shelf, runs) = (Arc::default(), Arc::clone(&store) as _);
        Self { config: config(), shelf, store, runs, log, clock, _kept: kept }
    }

    pub(crate) fn start(&self) -> Executor {
        let ports = Ports {
            runs: Arc::clone(&self.runs),
            modules: Arc::clone(&self.shelf) as _,
            ..Ports::of(&self.log, &self.store, Arc::clone(&self.clock))
        };
        let (shutdown, config) = (Shutdown::new(), self.config.clone());
        let heard = shutdown.clone();
        let task = tokio::spawn(async move { Service::bind(config, ports).await?.run(heard).await });
        Executor { shutdown, task }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A notification of which the content is `content of ` and its id.
    pub(crate) fn notification(&self, recipient: &str, id: &str) -> Notification {
        let now = self.now();
        Notification {
            id: NotificationId::parse(id).unwrap(),
            recipient: Recipient::parse_key(recipient).unwrap(),
            source: "/tests".into(),
            kind: NotificationType::parse("test").unwrap(),
            time: now,
            expires: now.after(Duration::from_secs(3600)),
            urgency: Urgency::Normal,
            content_type: ContentType::parse("text/plain").unwrap(),
            metadata: None,
            trace: Trace::default(),
            content: Bytes::from(format!("content of {id}")),
        }
    }

    pub(crate) async fn append(&self, entry: Entry) {
        self.log.append(Topic::Notifications, vec![entry]).await.remove(0).unwrap();
    }

    /// Asks for a task.
    pub(crate) async fn order(&self, recipient: &str, id: &str, module: &str) {
        self.order_that(recipient, id, module, |_input, _order| {}).await;
    }

    /// Asks for a task that is changed first.
    pub(crate) async fn order_that(
        &self,
        recipient: &str,
        id: &str,
        module: &str,
        change: impl FnOnce(&mut Notification, &mut Order),
    ) {
        let mut input = self.notification(recipient, id);
        let module = ModuleRef::parse(module).unwrap();
        let mut order = Order { module, code: None, origin: Origin::Record, progress: false, schedule: None };
        change(&mut input, &mut order);
        self.append(record::task::encode_order(&input, &order)).await;
    }

    /// Appends a record that asks for a task and does not say which.
    pub(crate) async fn malformed(&self, recipient: &str, id: &str) {
        let mut entry = record::encode(&self.notification(recipient, id));
        entry.headers.retain(|(name, _)| name != "ce_kind");
        entry.headers.push(("ce_kind".into(), Bytes::from_static(b"task")));
        self.append(entry).await;
    }

    /// Appends a notification that asks for nothing.
    pub(crate) async fn plain(&self, recipient: &str, id: &str) {
        self.append(record::encode(&self.notification(recipient, id))).await;
    }

    /// Appends a notification that is to be enriched, with time enough for it on any machine.
    pub(crate) async fn enrich(&self, recipient: &str, id: &str, module: &str, on_timeout: OnTimeout) {
        self.enrich_that(recipient, id, (module, Enrichment::MAX_DEADLINE, on_timeout), |_notification| {})
            .await;
    }

    pub(crate) async fn enrich_that(
        &self,
        recipient: &str,
        id: &str,
        (module, deadline, on_timeout): (&str, Duration, OnTimeout),
        change: impl FnOnce(&mut Notification),
    ) {
        let mut notification = self.notification(recipient, id);
        change(&mut notification);
        let enrichment = Enrichment { module: ModuleRef::parse(module).unwrap(), deadline, on_timeout };
        self.append(record::task::encode_enrichment(&notification, &enrichment)).await;
    }

    async fn read(&self, topic: Topic) -> Vec<Fetched> {
        let mut all = Vec::new();
        for partition in (0..PARTITIONS).map(PartitionId) {
            let (mut from, to) = (0, self.log.end(topic, partition).await.unwrap());
            while from < to {
                let read = self.log.read(topic, partition, from, to).await.unwrap();
                let Some(last) = read.last() else { break };
                from = last.offset + 1;
                all.extend(read);
            }
        }
        all
    }

    /// What is to be delivered, in the order of each recipient.
    pub(crate) async fn published(&self) -> Vec<Notification> {
        let read = self.read(Topic::Notifications).await.into_iter();
        let decoded = read.map(|fetched| record::decode(&fetched.entry).unwrap());
        decoded
            .filter(|(kind, _)| *kind == Kind::Notification)
            .map(|(_, notification)| notification)
            .collect()
    }

    async fn to(&self, recipient: &str) -> Vec<Notification> {
        let mut published = self.published().await;
        published.retain(|notification| notification.recipient.key() == recipient);
        published
    }

    /// The contents of what is to be delivered to a recipient.
    pub(crate) async fn published_to(&self, recipient: &str) -> Vec<String> {
        let text = |one: Notification| String::from_utf8(one.content.to_vec()).unwrap();
        self.to(recipient).await.into_iter().map(text).collect()
    }

    /// The types of what is to be delivered to a recipient.
    pub(crate) async fn kinds_to(&self, recipient: &str) -> Vec<String> {
        self.to(recipient).await.into_iter().map(|one| one.kind.as_str().to_owned()).collect()
    }

    /// Ids and codes of dead letters, by id.
    pub(crate) async fn dead(&self) -> Vec<(String, String)> {
        let told = |fetched: Fetched| {
            let id = record::id(&fetched.entry).unwrap().to_owned();
            (id, dead::reason(&fetched.entry).unwrap().0)
        };
        let mut dead: Vec<_> = self.read(Topic::Dead).await.into_iter().map(told).collect();
        dead.sort_unstable();
        dead
    }

    /// Whether `group` has committed everything.
    pub(crate) async fn is_committed(&self, group: &str) -> bool {
        for partition in (0..PARTITIONS).map(PartitionId) {
            let end = self.log.end(Topic::Notifications, partition).await.unwrap();
            let committed = self.log.committed(group, Topic::Notifications, partition).await.unwrap();
            if committed.unwrap_or(0) < end {
                return false;
            }
        }
        true
    }

    /// Whether `group` has committed nothing of the recipient's partition.
    pub(crate) async fn is_untouched(&self, group: &str, recipient: &str) -> bool {
        let partition = partition_of(recipient.as_bytes(), PARTITIONS);
        self.log.committed(group, Topic::Notifications, partition).await.unwrap().unwrap_or(0) == 0
    }

    pub(crate) fn key(&self, id: &str) -> TaskKey {
        TaskKey { tenant: TenantId::parse("acme").unwrap(), id: NotificationId::parse(id).unwrap() }
    }

    pub(crate) async fn task(&self, id: &str) -> TaskSummary {
        self.store.get_task(&self.key(id)).await.unwrap().unwrap()
    }

    pub(crate) async fn history(&self, id: &str) -> Vec<TaskStep> {
        self.store.task_steps(&self.key(id), 0, 1000).await.unwrap().unwrap()
    }

    /// How many tasks are in `state`.
    pub(crate) async fn count(&self, state: TaskState) -> usize {
        let filter = TaskFilter { state: Some(state), ..TaskFilter::default() };
        self.store.list_tasks(&filter, None, 1000).await.unwrap().len()
    }
}
