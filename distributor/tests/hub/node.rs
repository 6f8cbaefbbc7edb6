//! A node that runs, and everything it runs on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_distributor::hub::{Handle, Hub, Opened, Transport};
use postrider_distributor::session::{Acknowledging, Frame, State};
use postrider_distributor::{Config, Error, Ports, Service};
use shared::clock::{Clock, SystemClock};
use shared::config::Secret;
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::{Epoch, Position};
use shared::recipient::Recipient;
use shared::shutdown::Shutdown;
use shared::store::StoredRow;
use tokio::task::JoinHandle;

use crate::engines::{Log, Registry, Store};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Running {
    pub(crate) hub: Arc<Hub>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) store: Arc<Store>,
    pub(crate) log: Arc<Log>,
    pub(crate) link: String,
    pub(crate) shutdown: Shutdown,
    running: JoinHandle<Result<(), Error>>,
}

/// Settings with short times.
pub(crate) fn quick() -> Config {
    let mut config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    config.auth.secret = Secret::new("a secret of the tests, longer than thirty-two bytes".into());
    config.lease.ttl_ms = Duration::from_millis(900);
    config.sweep.period_ms = Duration::from_millis(200);
    config.sweep.outage_period_ms = Duration::from_millis(100);
    config.session.retry_ms = Duration::from_millis(20);
    config.http.announce_ms = Duration::ZERO;
    config.leave.spread_ms = Duration::from_millis(100);
    config.leave.after_ms = Duration::from_millis(100);
    config.leave.limit_ms = Duration::from_millis(400);
    config
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(quick()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let (registry, store, log) = (Arc::new(Registry::default()), Arc::default(), Arc::default());
        Self::start_on(registry, store, log, config).await
    }

    pub(crate) async fn start_on(
        registry: Arc<Registry>,
        store: Arc<Store>,
        log: Arc<Log>,
        config: Config,
    ) -> Self {
        let ports = Ports {
            inbox: store.clone(),
            routes: registry.clone(),
            nodes: registry.clone(),
            flags: registry.clone(),
            ends: log.clone(),
            appender: log.clone(),
            clock: Arc::new(SystemClock),
        };
        let service = Service::bind(config, ports).await.unwrap();
        let (hub, link, shutdown) =
            (Arc::clone(service.hub()), service.node().address.clone(), Shutdown::new());
        let running = tokio::spawn(service.run(shutdown.clone()));
        Self { hub, registry, store, log, link, shutdown, running }
    }

    pub(crate) fn open(&self, recipient: &Recipient) -> Handle {
        self.hub.open(opened(recipient)).unwrap()
    }

    /// A session that has drained and is live.
    pub(crate) async fn live(&self, recipient: &Recipient) -> Handle {
        let handle = self.open(recipient);
        until("the session is live", || handle.state() == State::Live).await;
        let welcome = handle.take(usize::MAX);
        assert!(matches!(welcome.first(), Some(Frame::Welcome { .. })), "{welcome:?}");
        handle
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
    }
}

pub(crate) fn opened(recipient: &Recipient) -> Opened {
    Opened {
        recipient: recipient.clone(),
        cursor: None,
        acknowledging: Acknowledging::Explicit,
        window: None,
        transport: Transport::WebSocket,
    }
}

pub(crate) fn recipient(name: &str) -> Recipient {
    Recipient::parse_key(&format!("acme/{name}")).unwrap()
}

pub(crate) fn at(hub: &Hub, recipient: &Recipient, offset: u64) -> Position {
    Position { epoch: Epoch(2), partition: hub.partition_of(recipient), offset }
}

pub(crate) fn notification(recipient: &Recipient, id: &str) -> Notification {
    Notification {
        id: NotificationId::parse(id).unwrap(),
        recipient: recipient.clone(),
        source: "/tests".into(),
        kind: NotificationType::parse("test").unwrap(),
        time: SystemClock.now(),
        expires: SystemClock.now().after(Duration::from_secs(3600)),
        urgency: Urgency::Normal,
        content_type: ContentType::parse("text/plain").unwrap(),
        metadata: None,
        trace: Trace::default(),
        content: Bytes::from_static(b"content"),
    }
}

pub(crate) fn row(hub: &Hub, recipient: &Recipient, offset: u64) -> StoredRow {
    let id = format!("stored-{offset}");
    StoredRow { position: at(hub, recipient, offset), notification: notification(recipient, &id) }
}

/// Waits for a fact.
pub(crate) async fn until(what: &str, mut fact: impl FnMut() -> bool) {
    let begun = tokio::time::Instant::now();
    while !fact() {
        assert!(begun.elapsed() < PATIENCE, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The next `count` notifications of a session: sequence number and offset.
pub(crate) async fn notifications(handle: &Handle, count: usize) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    while found.len() < count {
        tokio::time::timeout(PATIENCE, handle.ready()).await.unwrap();
        assert_ne!(handle.state(), State::Closed, "the session ended");
        for frame in handle.take(1) {
            if let Frame::Notification { seq, position, .. } = frame {
                found.push((seq, position.offset));
            }
        }
    }
    found
}
