//! The embedded store and log, with switches that make parts of them fail or hang, and schedulers on top.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_executor::{ScheduleSettings, Scheduler, SchedulerPorts};
use shared::clock::{Clock, ManualClock, Timestamp};
use shared::config::{LogSettings, StoreSettings};
use shared::log::sqlite::Log;
use shared::log::{self, Appender, Ends as _, Entry, Placed, Provision as _, Reader as _};
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::PartitionId;
use shared::recipient::{Recipient, TenantId};
use shared::record;
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::store::sqlite::Store;
use shared::store::{EntryName, Error, Leases, Migrate as _, ScheduleRow, Schedules};
use shared::task::timing::Timing;
use shared::task::{ModuleRef, Order, Origin};
use shared::topic::Topic;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// When the clock begins: 2026-11-21T06:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_240_800_000);

/// What the log takes.
pub(crate) const MAX_RECORD_BYTES: usize = 16 * 1024;

/// Nothing here takes this long unless it is broken.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a port does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    Works,
    Fails,
    Hangs,
}

/// A switch, and how many calls it made fail.
#[derive(Clone, Debug)]
pub(crate) struct Switched {
    state: Arc<tokio::sync::watch::Sender<Switch>>,
    calls: Arc<AtomicU64>,
    failures: Arc<AtomicU64>,
}

impl Switched {
    fn new() -> Self {
        let state = Arc::new(tokio::sync::watch::Sender::new(Switch::Works));
        Self { state, calls: Arc::default(), failures: Arc::default() }
    }

    pub(crate) fn set(&self, switch: Switch) {
        self.state.send_replace(switch);
    }

    /// Waits until `count` more calls have failed.
    pub(crate) async fn failed(&self, count: u64) {
        let from = self.failures.load(Ordering::SeqCst);
        eventually(async || self.failures.load(Ordering::SeqCst) >= from + count).await;
    }

    /// Whether the call works. While the switch hangs, it waits.
    async fn works(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state.subscribe();
        let switch = *state.wait_for(|switch| *switch != Switch::Hangs).await.unwrap();
        if switch == Switch::Fails {
            self.failures.fetch_add(1, Ordering::SeqCst);
        }
        switch == Switch::Works
    }
}

/// Waits on a value.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("what was waited for did not come");
}

/// A store and a log of a test's own.
pub(crate) struct Engines {
    pub(crate) store: Arc<Store>,
    pub(crate) log: Arc<Log>,
    pub(crate) clock: Arc<ManualClock>,
    /// `due_schedules`.
    pub(crate) reads: Switched,
    /// `append`.
    pub(crate) appends: Switched,
    /// `advance_schedule`.
    pub(crate) advances: Switched,
    /// `take_lease`.
    leases: Switched,
    _directory: TempDir,
}

/// Settings that look often.
pub(crate) fn settings() -> ScheduleSettings {
    ScheduleSettings { tick_ms: Duration::from_millis(3), ..ScheduleSettings::default() }
}

/// A schedule whose first time is the first after [`START`].
pub(crate) fn row(tenant: &str, name: &str, settings: &str) -> ScheduleRow {
    let tenant = TenantId::parse(tenant).unwrap();
    let input = Notification {
        id: NotificationId::parse("template").unwrap(),
        recipient: Recipient::parse_key(&format!("{tenant}/alice")).unwrap(),
        source: "/schedules".into(),
        kind: NotificationType::parse("report.due").unwrap(),
        time: START,
        expires: START.after(Duration::from_secs(3600)),
        urgency: Urgency::Normal,
        content_type: ContentType::parse("application/json").unwrap(),
        metadata: None,
        trace: Trace { parent: Some("00-11-22-01".into()), ..Trace::default() },
        content: Bytes::from(format!("{{\"of\":\"{name}\"}}")),
    };
    let module = ModuleRef::parse("sum@1").unwrap();
    let order = Order { module, code: None, origin: Origin::Api, progress: false, schedule: None };
    ScheduleRow {
        tenant,
        name: EntryName::parse(name).unwrap(),
        settings: settings.into(),
        record: record::task::encode_order(&input, &order),
        enabled: true,
        next: Timing::parse(settings).ok().and_then(|timing| timing.next_after(START)),
        fired: None,
        count: 0,
        revision: 0,
        changed: START,
    }
}

impl Engines {
    pub(crate) async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::open(directory.path().join("store.db"), &StoreSettings::default()).unwrap();
        store.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let settings =
            LogSettings { partitions: 1, max_record_bytes: MAX_RECORD_BYTES, ..LogSettings::default() };
        let path = directory.path().join("log.db");
        let log = Log::open(&path, &settings, Arc::<ManualClock>::clone(&clock)).await.unwrap();
        log.ensure().await.unwrap();
        Self {
            store,
            log,
            clock,
            reads: Switched::new(),
            appends: Switched::new(),
            advances: Switched::new(),
            leases: Switched::new(),
            _directory: directory,
        }
    }

    pub(crate) async fn put(&self, row: &ScheduleRow) {
        // One that cannot be read has a time nevertheless.
        let next = row.next.or(Some(START.after(Duration::from_secs(1))));
        self.store.put_schedule(&ScheduleRow { next, ..row.clone() }, None, 100).await.unwrap();
    }

    pub(crate) async fn get(&self, tenant: &str, name: &str) -> ScheduleRow {
        let (tenant, name) = (TenantId::parse(tenant).unwrap(), EntryName::parse(name).unwrap());
        self.store.get_schedule(&tenant, &name).await.unwrap().unwrap()
    }

    /// The schedule once it has fired `count` times; not more.
    pub(crate) async fn noted(&self, tenant: &str, name: &str, count: u64) -> ScheduleRow {
        eventually(async || self.get(tenant, name).await.count >= count).await;
        let row = self.get(tenant, name).await;
        assert_eq!(row.count, count, "{name}");
        row
    }

    /// Records on the log.
    pub(crate) async fn records(&self) -> Vec<Entry> {
        let (topic, partition) = (Topic::Notifications, PartitionId(0));
        let end = self.log.end(topic, partition).await.unwrap();
        let mut records = Vec::new();
        while (records.len() as u64) < end {
            let read = self.log.read(topic, partition, records.len() as u64, end).await.unwrap();
            assert!(!read.is_empty(), "records are missing");
            records.extend(read.into_iter().map(|fetched| fetched.entry));
        }
        records
    }

    /// Their ids.
    pub(crate) async fn ids(&self) -> Vec<String> {
        self.records().await.iter().map(|entry| record::id(entry).unwrap().to_owned()).collect()
    }

    /// Waits until the log has these.
    pub(crate) async fn wait_for(&self, ids: &[String]) {
        eventually(async || self.ids().await == ids).await;
    }

    /// Waits until somebody has asked for the lease so often.
    pub(crate) async fn looks(&self, count: u64) {
        let from = self.leases.calls.load(Ordering::SeqCst);
        eventually(async || self.leases.calls.load(Ordering::SeqCst) >= from + count).await;
    }

    pub(crate) fn scheduler(&self, instance: &str) -> Running {
        self.scheduler_with(instance, settings())
    }

    pub(crate) fn scheduler_with(&self, instance: &str, settings: ScheduleSettings) -> Running {
        self.start(instance, settings, self.shaky(false))
    }

    /// One that believes to lead, whoever else does.
    pub(crate) fn leading(&self, instance: &str) -> Running {
        self.start(instance, settings(), self.shaky(true))
    }

    fn shaky(&self, leads: bool) -> Arc<Shaky> {
        Arc::new(Shaky {
            store: Arc::clone(&self.store),
            log: Arc::clone(&self.log),
            reads: self.reads.clone(),
            appends: self.appends.clone(),
            advances: self.advances.clone(),
            leases: self.leases.clone(),
            leads,
        })
    }

    fn start(&self, instance: &str, settings: ScheduleSettings, shaky: Arc<Shaky>) -> Running {
        let ports = SchedulerPorts {
            schedules: Arc::<Shaky>::clone(&shaky),
            leases: Arc::<Shaky>::clone(&shaky),
            appender: shaky,
            clock: Arc::<ManualClock>::clone(&self.clock) as Arc<dyn Clock>,
        };
        let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) };
        let shutdown = Shutdown::new();
        let scheduler = Scheduler::new(ports, settings, backoff, instance.to_owned());
        Running { task: tokio::spawn(scheduler.run(shutdown.clone())), shutdown }
    }
}

/// A scheduler that runs.
pub(crate) struct Running {
    task: JoinHandle<()>,
    shutdown: Shutdown,
}

impl Running {
    /// Lets it stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        tokio::time::timeout(DEADLINE, self.task).await.expect("it stops").unwrap();
    }

    /// As if its process had died.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

/// The engines behind their switches.
struct Shaky {
    store: Arc<Store>,
    log: Arc<Log>,
    reads: Switched,
    appends: Switched,
    advances: Switched,
    leases: Switched,
    leads: bool,
}

#[async_trait]
impl Schedules for Shaky {
    async fn put_schedule(
        &self,
        schedule: &ScheduleRow,
        expected: Option<u64>,
        most: u32,
    ) -> Result<u64, Error> {
        self.store.put_schedule(schedule, expected, most).await
    }

    async fn get_schedule(&self, tenant: &TenantId, name: &EntryName) -> Result<Option<ScheduleRow>, Error> {
        self.store.get_schedule(tenant, name).await
    }

    async fn list_schedules(
        &self,
        tenant: &TenantId,
        after: Option<&EntryName>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, Error> {
        self.store.list_schedules(tenant, after, limit).await
    }

    async fn delete_schedule(&self, tenant: &TenantId, name: &EntryName) -> Result<bool, Error> {
        self.store.delete_schedule(tenant, name).await
    }

    async fn due_schedules(&self, now: Timestamp, limit: u32) -> Result<Vec<ScheduleRow>, Error> {
        if !self.reads.works().await {
            return Err(Error::Unavailable(None));
        }
        self.store.due_schedules(now, limit).await
    }

    async fn advance_schedule(
        &self,
        schedule: &ScheduleRow,
        fired: Option<Timestamp>,
        times: u64,
        next: Option<Timestamp>,
    ) -> Result<(), Error> {
        if !self.advances.works().await {
            return Err(Error::Unavailable(None));
        }
        self.store.advance_schedule(schedule, fired, times, next).await
    }
}

#[async_trait]
impl Leases for Shaky {
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error> {
        if !self.leases.works().await {
            return Err(Error::Unavailable(None));
        }
        Ok(self.leads || self.store.take_lease(name, holder, now, until).await?)
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), Error> {
        self.store.release_lease(name, holder).await
    }
}

#[async_trait]
impl Appender for Shaky {
    async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<Result<Placed, log::Error>> {
        if !self.appends.works().await {
            return entries.iter().map(|_entry| Err(log::Error::Unavailable(None))).collect();
        }
        self.log.append(topic, entries).await
    }
}
