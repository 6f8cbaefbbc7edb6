//! Embedded engines in a temporary directory, and directors that run on them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_director::{Config, Ports, Service};
use shared::clock::{Clock, SystemClock, Timestamp};
use shared::config::{LogSettings, StoreSettings};
use shared::log::sqlite::Log;
use shared::log::{Appender as _, Consumer, Ends as _, Entry, Interest, Subscriber as _, Turn};
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::{Cursor, PartitionId};
use shared::recipient::Recipient;
use shared::record;
use shared::registry::memory::Registry;
use shared::registry::{FlagReading, Flags as _, Route, Routes};
use shared::shutdown::Shutdown;
use shared::store::sqlite::Store;
use shared::store::{DeadFilter, DeadReview as _, DeadSummary, Inbox, Migrate as _, PageRequest, Requeues};
use shared::topic::{Topic, partition_of};
use tokio::task::JoinHandle;

const PARTITIONS: u32 = 3;
const DEADLINE: Duration = Duration::from_secs(30);

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
    pub(crate) registry: Arc<Registry>,
    /// Where directors' archivers store; the store, if nothing is put in its place.
    pub(crate) inbox: Arc<dyn Inbox>,
    /// Where directors look recipients up; the registry, if nothing is put in its place.
    pub(crate) routes: Arc<dyn Routes>,
    pub(crate) store: Arc<Store>,
    pub(crate) config: Config,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    _directory: tempfile::TempDir,
}

/// A director that runs.
pub(crate) struct Director {
    shutdown: Shutdown,
    task: JoinHandle<Result<(), postrider_director::Error>>,
}

impl Director {
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

impl Stage {
    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = LogSettings { partitions: PARTITIONS, ..LogSettings::default() };
        let log = Log::open(&directory.path().join("log.db"), &settings, Arc::clone(&clock)).await.unwrap();
        let store = Store::open(directory.path().join("store.db"), &StoreSettings::default()).unwrap();
        store.migrate().await.unwrap();
        let mut config = Config { drain_ms: Duration::from_millis(500), ..Config::default() };
        for patience in [&mut config.retry.high, &mut config.retry.normal, &mut config.retry.low] {
            (patience.base_ms, patience.cap_ms) = (Duration::from_millis(20), Duration::from_millis(200));
        }
        let registry = Registry::new(Arc::clone(&clock));
        let routes = Arc::clone(&registry) as _;
        let inbox = Arc::clone(&store) as _;
        Self { registry, routes, inbox, store, config, log, clock, _directory: directory }
    }

    /// Starts a director.
    pub(crate) fn direct(&self) -> Director {
        self.direct_on(|_| {})
    }

    /// Starts a director that asks `requeues` for those that are asked for.
    pub(crate) fn direct_with(&self, requeues: Arc<dyn Requeues>) -> Director {
        self.direct_on(|ports| ports.requeues = requeues)
    }

    /// Starts a director on ports that are changed first.
    pub(crate) fn direct_on(&self, change: impl FnOnce(&mut Ports)) -> Director {
        let mut ports = Ports::of(&self.log, &self.registry, &self.store, Arc::clone(&self.clock));
        ports.routes = Arc::clone(&self.routes);
        ports.inbox = Arc::clone(&self.inbox);
        change(&mut ports);
        let (shutdown, config) = (Shutdown::new(), self.config.clone());
        let heard = shutdown.clone();
        let task = tokio::spawn(async move { Service::bind(config, ports).await?.run(heard).await });
        Director { shutdown, task }
    }

    /// Appends a record as it is; answers its offset.
    pub(crate) async fn append(&self, entry: Entry) -> u64 {
        self.log.append(Topic::Notifications, vec![entry]).await.remove(0).unwrap().offset
    }

    /// Publishes one notification for each number; answers the offsets.
    pub(crate) async fn publish(&self, recipient: &str, numbers: Range<u64>) -> Vec<u64> {
        let entries = numbers.map(|number| record::encode(&self.notification(recipient, number)));
        let placed = self.log.append(Topic::Notifications, entries.collect()).await;
        placed.into_iter().map(|placed| placed.unwrap().offset).collect()
    }

    /// The notification that [`Stage::publish`] makes of a number.
    pub(crate) fn notification(&self, recipient: &str, number: u64) -> Notification {
        let now = self.clock.now();
        Notification {
            id: NotificationId::parse(&format!("n-{number}")).unwrap(),
            recipient: Recipient::parse_key(recipient).unwrap(),
            source: "/tests".into(),
            kind: NotificationType::parse("test").unwrap(),
            time: now,
            expires: now.after(Duration::from_secs(3600)),
            urgency: Urgency::Normal,
            content_type: ContentType::parse("text/plain").unwrap(),
            metadata: None,
            trace: Trace::default(),
            content: Bytes::from(format!("content {number}")),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Where `notifications` ends in the partition of a recipient.
    pub(crate) async fn end(&self, recipient: &str) -> u64 {
        self.log.end(Topic::Notifications, self.partition(recipient)).await.unwrap()
    }

    /// The ids that stand on `notifications` for a recipient, in order.
    pub(crate) async fn ids(&self, recipient: &str) -> Vec<String> {
        let (home, end) = (self.partition(recipient), self.end(recipient).await);
        let group = format!("reader-{:x}", rand::random::<u64>());
        let mut reader = self.log.subscribe(Topic::Notifications, &group, Interest::default()).await.unwrap();
        let (mut ids, mut next) = (Vec::new(), 0);
        while next < end {
            let turn = tokio::time::timeout(DEADLINE, reader.next()).await.unwrap().unwrap();
            let Turn::Fetched(partition, records) = turn else { continue };
            for fetched in records.into_iter().filter(|_| partition == home) {
                next = fetched.offset + 1;
                if fetched.entry.key == recipient.as_bytes() {
                    ids.extend(record::id(&fetched.entry).map(str::to_owned));
                }
            }
        }
        reader.close().await;
        ids
    }

    pub(crate) fn partition(&self, recipient: &str) -> PartitionId {
        partition_of(recipient.as_bytes(), PARTITIONS)
    }

    /// Another recipient of the same partition.
    pub(crate) fn sibling_of(&self, recipient: &str) -> String {
        self.one_of(self.partition(recipient), "sibling")
    }

    /// So many recipients of a tenant in the partition of another recipient.
    pub(crate) fn neighbours_of(&self, recipient: &str, tenant: &str, count: usize) -> Vec<String> {
        let home = self.partition(recipient);
        let keys = (0..).map(|n| format!("{tenant}/r{n}"));
        keys.filter(|key| self.partition(key) == home).take(count).collect()
    }

    /// A recipient of each partition.
    pub(crate) fn one_of_each(&self, name: &str) -> Vec<String> {
        (0..PARTITIONS).map(|partition| self.one_of(PartitionId(partition), name)).collect()
    }

    fn one_of(&self, home: PartitionId, name: &str) -> String {
        (0..100).map(|n| format!("acme/{name}-{n}")).find(|key| self.partition(key) == home).unwrap()
    }

    /// The offsets stored for a recipient, as a session would page through them.
    pub(crate) async fn stored(&self, recipient: &str) -> Vec<u64> {
        let partition = self.partition(recipient);
        let request = PageRequest {
            recipient: Recipient::parse_key(recipient).unwrap(),
            partition,
            from: Cursor::start(self.log.epoch(), partition),
            limit: 1000,
        };
        let page = self.store.pages(&[request]).await.unwrap().remove(0);
        page.rows.into_iter().map(|row| row.position.offset).collect()
    }

    /// Waits until so many copies stand on `parked` for a recipient.
    pub(crate) async fn parked(&self, recipient: &str, count: usize) {
        let group = format!("reader-{:x}", rand::random::<u64>());
        let mut reader = self.log.subscribe(Topic::Parked, &group, Interest::default()).await.unwrap();
        let mut copies = 0;
        while copies < count {
            let turn = tokio::time::timeout(DEADLINE, reader.next()).await.unwrap().unwrap();
            let Turn::Fetched(_, records) = turn else { continue };
            let own = records.iter().filter(|fetched| fetched.entry.key == recipient.as_bytes());
            copies += own.map(|fetched| record::run::copies(&fetched.entry)).sum::<usize>();
        }
        reader.close().await;
    }

    /// The end of `parked` in the partition of a recipient.
    pub(crate) async fn parked_end(&self, recipient: &str) -> u64 {
        self.log.end(Topic::Parked, self.partition(recipient)).await.unwrap()
    }

    /// Every dead letter, by position.
    pub(crate) async fn dead_letters(&self) -> Vec<DeadSummary> {
        let mut letters = self.store.list_dead(&DeadFilter::default(), None, 1000).await.unwrap();
        letters.sort_by_key(|letter| letter.position);
        letters
    }

    pub(crate) async fn flag(&self, recipient: &str) -> FlagReading {
        let question = [(Recipient::parse_key(recipient).unwrap(), self.partition(recipient))];
        self.registry.read(&question).await.unwrap().remove(0)
    }

    pub(crate) async fn routes(&self, recipient: &str) -> Vec<Route> {
        self.registry.lookup(&[Recipient::parse_key(recipient).unwrap()]).await.unwrap().remove(0)
    }

    /// A member of a group.
    pub(crate) async fn join(&self, topic: Topic, group: &str) -> Box<dyn Consumer> {
        self.log.subscribe(topic, group, Interest::default()).await.unwrap()
    }

    /// Where the director's group goes on in the partition of a recipient, once no director runs.
    pub(crate) async fn committed(&self, recipient: &str) -> u64 {
        self.committed_by(Topic::Notifications, "director", recipient).await
    }

    /// Where a group goes on, once it has no member.
    pub(crate) async fn committed_by(&self, topic: Topic, group: &str, recipient: &str) -> u64 {
        let home = self.partition(recipient);
        let mut member = self.join(topic, group).await;
        let looked = tokio::time::timeout(DEADLINE, async {
            loop {
                if let Turn::Assigned(partitions) = member.next().await.unwrap()
                    && let Some((_, offset)) =
                        partitions.into_iter().find(|(partition, _)| *partition == home)
                {
                    return offset;
                }
            }
        });
        let offset = looked.await.unwrap();
        member.close().await;
        offset
    }
}
