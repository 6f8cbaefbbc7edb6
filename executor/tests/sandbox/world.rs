//! A sandbox with everything around it in memory.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_executor::SandboxSettings;
use postrider_executor::sandbox::{
    Away, Digest, Grants, Input, KeyValue, KeyValueInMemory, Library, Ports, Report, Resolver, Sandbox,
};
use shared::clock::{ManualClock, Timestamp};
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::recipient::Recipient;

/// When inputs were accepted.
pub(crate) const ACCEPTED: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// What a guest with the grant `clock` sees.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_001_234);

/// Modules by digest, and how often they were asked for.
#[derive(Default)]
pub(crate) struct Shelf {
    modules: Mutex<HashMap<Digest, Bytes>>,
    pub(crate) fetched: AtomicUsize,
    pub(crate) mood: Mutex<Mood>,
}

/// How the library answers.
#[derive(Clone, Copy, Default)]
pub(crate) enum Mood {
    #[default]
    Answers,
    Away,
    Hangs,
}

impl Shelf {
    pub(crate) fn put(&self, module: &[u8]) -> Digest {
        let digest = Digest::of(module);
        self.modules.lock().unwrap().insert(digest, Bytes::copy_from_slice(module));
        digest
    }

    pub(crate) fn put_under(&self, digest: Digest, module: &[u8]) {
        self.modules.lock().unwrap().insert(digest, Bytes::copy_from_slice(module));
    }
}

#[async_trait]
impl Library for Shelf {
    async fn fetch(&self, digest: &Digest) -> Result<Option<Bytes>, Away> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Answers => {}
            Mood::Away => return Err(Away("gone".to_owned())),
            Mood::Hangs => std::future::pending().await,
        }
        Ok(self.modules.lock().unwrap().get(digest).cloned())
    }
}

/// Answers for each question in turn, the last one for ever; counts them.
#[derive(Default)]
pub(crate) struct Script {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    pub(crate) asked: AtomicUsize,
}

#[async_trait]
impl Resolver for Script {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        let at = self.asked.fetch_add(1, Ordering::SeqCst);
        let answers = self.answers.lock().unwrap();
        let answer = answers.get(at).or(answers.last());
        answer.cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) resolver: Arc<Script>,
}

impl Script {
    /// What it answers to each question in turn.
    pub(crate) fn answers(&self, answers: &[&[&str]]) {
        let read = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        *self.answers.lock().unwrap() = answers.iter().map(read).collect();
    }
}

impl World {
    pub(crate) fn new(settings: SandboxSettings) -> Self {
        Self::with(settings, Arc::new(KeyValueInMemory::new(100)))
    }

    pub(crate) fn with(settings: SandboxSettings, key_value: Arc<dyn KeyValue>) -> Self {
        let (shelf, resolver) = (Arc::<Shelf>::default(), Arc::<Script>::default());
        let ports = ports(shelf.clone(), key_value, resolver.clone());
        Self { sandbox: Sandbox::new(settings, ports).unwrap(), shelf, resolver }
    }

    /// Why there is no sandbox with these settings.
    pub(crate) fn refused(settings: SandboxSettings) -> String {
        let ports = ports(Arc::default(), Arc::new(KeyValueInMemory::new(1)), Arc::default());
        Sandbox::new(settings, ports).err().unwrap().to_string()
    }

    /// One attempt of `module` without any grant.
    pub(crate) async fn run(&self, module: &[u8]) -> Report {
        self.run_with(module, &Grants::default(), &input("{}")).await
    }

    pub(crate) async fn run_with(&self, module: &[u8], grants: &Grants, input: &Input) -> Report {
        let digest = self.shelf.put(module);
        let running = self.sandbox.run(&digest, grants, input);
        tokio::time::timeout(Duration::from_secs(300), running).await.expect("an attempt that never ends")
    }
}

fn ports(library: Arc<Shelf>, key_value: Arc<dyn KeyValue>, resolver: Arc<Script>) -> Ports {
    Ports { library, key_value, resolver, clock: Arc::new(ManualClock::at(NOW)) }
}

/// Small enough for a test to reach every limit at once.
pub(crate) fn settings() -> SandboxSettings {
    let mut settings = SandboxSettings {
        memory_bytes: 4 * 1024 * 1024,
        fuel: 5_000_000,
        deadline_ms: Duration::from_secs(120),
        tick_ms: Duration::from_millis(5),
        ..SandboxSettings::default()
    };
    settings.turns.running = 4;
    settings.turns.per_module = 4;
    settings
}

/// An input for `acme/alice` with JSON content.
pub(crate) fn input(content: &str) -> Input {
    Input {
        notification: Notification {
            id: NotificationId::parse("n-1").unwrap(),
            recipient: Recipient::parse_key("acme/alice").unwrap(),
            source: "/tests".to_owned(),
            kind: NotificationType::parse("order.shipped").unwrap(),
            time: ACCEPTED,
            expires: ACCEPTED.after(Duration::from_secs(3600)),
            urgency: Urgency::Normal,
            content_type: ContentType::parse("application/json").unwrap(),
            metadata: None,
            trace: Trace::default(),
            content: Bytes::copy_from_slice(content.as_bytes()),
        },
        attempt: 1,
        idempotency_token: "token-1".to_owned(),
    }
}

/// The code of an attempt's failure.
pub(crate) fn code(report: &Report) -> &'static str {
    report.answer.as_ref().map_or_else(|failure| failure.code(), |_answer| "none")
}
