//! Records that no receiver would write, straight onto the log.

use std::time::Duration;

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use shared::clock::{Clock as _, SystemClock};
use shared::config::LogSettings;
use shared::log::{Appender as _, Entry, sqlite};
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::position::Epoch;
use shared::recipient::Recipient;
use shared::record;
use shared::topic::{Topic, partition_of};

use crate::stack::{Column, Fault, Part, Stack};

/// Whose partitions the poison lies in.
pub const RECIPIENTS: [&str; 4] = ["mallory", "eve", "trudy", "oscar"];

/// A record, and what must become of it.
pub struct Poison {
    pub entry: Entry,
    pub code: &'static str,
    /// A part of what the dead letter says.
    pub detail: &'static str,
    pub requeueable: bool,
    pub cut: bool,
    /// In another partition than its key's.
    misplaced: bool,
}

fn well(recipient: &str) -> Entry {
    let now = SystemClock.now();
    record::encode(&Notification {
        id: NotificationId::parse("poison").unwrap(),
        recipient: Recipient::parse_key(&format!("default/{recipient}")).unwrap(),
        source: "/tests".into(),
        kind: NotificationType::parse("test").unwrap(),
        time: now,
        expires: now.after(Duration::from_secs(3600)),
        urgency: Urgency::Normal,
        content_type: ContentType::parse("text/plain").unwrap(),
        metadata: None,
        trace: Trace::default(),
        content: Bytes::from_static(b"poison"),
    })
}

fn with(mut entry: Entry, name: &'static str, value: &'static [u8]) -> Entry {
    entry.headers.retain(|(header, _)| header != name);
    entry.headers.push((name.into(), Bytes::from_static(value)));
    entry
}

/// Every kind that the engines let through: the embedded log takes nothing that is too large, and places by key.
pub fn all(column: Column) -> Vec<Poison> {
    let poison = |entry, code, detail| Poison {
        entry,
        code,
        detail,
        requeueable: false,
        cut: false,
        misplaced: false,
    };
    let bare = |key: &'static [u8]| Entry {
        key: Bytes::from_static(key),
        payload: Bytes::from_static(b"\xff"),
        ..Entry::default()
    };
    let mut all = vec![
        poison(bare(b"default/mallory"), "malformed", "ce_id is missing"),
        poison(bare(b"\xff\xfe"), "malformed", "the key is not"),
        poison(with(well("eve"), "ce_time", b"yesterday"), "malformed", "ce_time is not"),
        poison(with(well("eve"), "ce_urgency", b"\xff"), "malformed", "ce_urgency is not UTF-8"),
        // These two are the executor's.
        poison(with(well("trudy"), "ce_kind", b"task"), "malformed", "ce_task is missing"),
        poison(with(well("trudy"), "ce_task", b"Not A Module"), "malformed", "ce_task has a character"),
        poison(with(well("trudy"), "ce_kind", b"other"), "malformed", "ce_kind is neither"),
    ];
    if column == Column::Distributed {
        let large = Entry { payload: vec![b'x'; 10 * 1024 * 1024].into(), ..well("oscar") };
        all.push(Poison { cut: true, ..poison(large, "too_large", "may be published") });
        let misplaced = poison(well("oscar"), "misplaced", "in another partition");
        all.push(Poison { misplaced: true, requeueable: true, ..misplaced });
    }
    all
}

/// Appends them to `notifications`.
pub async fn append(stack: &mut Stack, poisons: &[Poison]) {
    match stack.column {
        Column::Embedded => {
            // One process at a time has the file.
            stack.fault(Part::Director(0), Fault::Killed).await;
            let file = stack.dir().join("data/log.db");
            let (settings, clock) = (LogSettings::default(), std::sync::Arc::new(SystemClock));
            let log = sqlite::Log::open(&file, &settings, clock).await.unwrap();
            let entries = poisons.iter().map(|poison| poison.entry.clone()).collect();
            for placed in log.append(Topic::Notifications, entries).await {
                placed.unwrap();
            }
            log.close().await;
            stack.heal(Part::Director(0)).await;
        }
        Column::Distributed => {
            let settings = std::fs::read_to_string(stack.dir().join("postrider.toml")).unwrap();
            let settings: toml::Table = settings.parse().unwrap();
            for poison in poisons {
                produce(&settings, poison);
            }
        }
    }
}

fn produce(settings: &toml::Table, poison: &Poison) {
    let brokers = settings["kafka"]["brokers"].as_str().unwrap();
    let prefix = settings["log"]["prefix"].as_str().unwrap();
    let topic = Topic::Notifications.name(prefix, Epoch(1));
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // The broker weighs what it is sent, and that is small.
        .set("compression.codec", "gzip")
        .set("message.max.bytes", "20000000")
        .set("request.required.acks", "all")
        .create()
        .unwrap();
    let found = producer.client().fetch_metadata(Some(&topic), Duration::from_secs(20)).unwrap();
    let partitions = u32::try_from(found.topics()[0].partitions().len()).unwrap();
    let home = partition_of(&poison.entry.key, partitions).0;
    let partition = (home + u32::from(poison.misplaced)) % partitions;
    let headers = poison.entry.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
        headers.insert(Header { key: name, value: Some(&value[..]) })
    });
    let record = BaseRecord::to(&topic)
        .partition(i32::try_from(partition).unwrap())
        .key(&poison.entry.key[..])
        .headers(headers)
        .payload(&poison.entry.payload[..]);
    producer.send(record).unwrap_or_else(|(error, _)| panic!("{error}"));
    producer.flush(Duration::from_secs(20)).unwrap();
}
