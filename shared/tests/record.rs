//! The record format: whatever a notification holds survives the log, and whatever stands on the log never breaks a
//! reader.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

use bytes::Bytes;
use proptest::prelude::*;
use shared::clock::Timestamp;
use shared::log::{Entry, Headers};
use shared::notification::{ContentType, Notification, NotificationId, NotificationType, Trace, Urgency};
use shared::outcome::{DeadReason, ParkReason};
use shared::position::{Epoch, PartitionId, Position};
use shared::recipient::Recipient;
use shared::record::{self, Kind, MalformedRecord};

/// The year 9999: the last that RFC 3339 can write.
const LAST_MILLIS: u64 = 253_402_300_799_999;

fn urgency() -> impl Strategy<Value = Urgency> {
    prop::sample::select(vec![Urgency::VeryLow, Urgency::Low, Urgency::Normal, Urgency::High])
}

fn trace() -> impl Strategy<Value = Trace> {
    let value = || prop::option::of("[ -~]{0,60}");
    (value(), value(), value()).prop_map(|(parent, state, baggage)| Trace { parent, state, baggage })
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..=LAST_MILLIS).prop_map(Timestamp::from_millis)
}

fn notification() -> impl Strategy<Value = Notification> {
    let names = (
        "[!#-\\[\\]-~]{1,40}",
        "[a-z0-9-]{1,20}/[A-Za-z0-9._~@:+-]{1,40}",
        "[A-Za-z0-9._:/-]{1,30}",
        "[ -~]{1,60}",
        "[!-~]{1,60}",
    );
    let rest = (
        time(),
        time(),
        urgency(),
        prop::option::of("\\PC{0,40}"),
        trace(),
        prop::collection::vec(any::<u8>(), 0..300),
    );
    (names, rest).prop_map(|((id, key, kind, content_type, source), rest)| {
        let (time, expires, urgency, metadata, trace, content) = rest;
        Notification {
            id: NotificationId::parse(&id).unwrap(),
            recipient: Recipient::parse_key(&key).unwrap(),
            source,
            kind: NotificationType::parse(&kind).unwrap(),
            time,
            expires,
            urgency,
            content_type: ContentType::parse(&content_type).unwrap(),
            metadata,
            trace,
            content: Bytes::from(content),
        }
    })
}

fn headers() -> impl Strategy<Value = Headers> {
    let known = prop::sample::select(vec![
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "content-type",
        "ce_tenant",
        "ce_recipient",
        "ce_expires",
        "ce_urgency",
        "ce_kind",
        "ce_metadata",
        "traceparent",
        "baggage",
        "x",
    ]);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[a-z0-9:TZ.-]{0,30}".prop_map(String::into_bytes),
        Just(b"2026-11-21T06:27:00Z".to_vec()),
    ];
    prop::collection::vec((known, value), 0..16)
        .prop_map(|pairs| pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_notification_survives_the_log(notification in notification()) {
        let entry = record::encode(&notification);
        prop_assert_eq!(&entry.key, &Bytes::from(notification.recipient.key()));
        prop_assert_eq!(record::decode(&entry).unwrap(), (Kind::Notification, notification));
    }

    #[test]
    fn headers_of_others_and_repeated_ones_change_nothing(notification in notification(), more in headers()) {
        let mut entry = record::encode(&notification);
        let absent = |name: &str| entry.headers.iter().all(|(own, _)| own != name);
        // An optional header that the notification does not have would be its first, and count.
        let more: Headers = more.into_iter().filter(|(name, _)| name == "x" || !absent(name)).collect();
        entry.headers.extend(more);
        prop_assert_eq!(record::decode(&entry).unwrap(), (Kind::Notification, notification));
    }

    #[test]
    fn any_record_is_read_or_refused_and_dead_lettered_with_its_coordinates(
        key in prop::collection::vec(any::<u8>(), 0..40),
        headers in headers(),
        payload in prop::collection::vec(any::<u8>(), 0..40),
        offset: u64,
    ) {
        let entry = Entry { key: key.into(), headers, payload: payload.into() };
        let outcome = record::decode(&entry);
        let position = Position { epoch: Epoch(1), partition: PartitionId(2), offset };
        let dead = record::dead::encode(&entry, position, &DeadReason::Malformed("no".into()));
        prop_assert_eq!(record::parked::position(&dead), Ok(position));
        prop_assert_eq!(&dead.payload, &entry.payload);
        prop_assert!(!record::dead::is_cut(&dead));
        let cut = record::dead::encode_cut(&entry, position, &DeadReason::Misplaced);
        prop_assert!(record::dead::is_cut(&cut));
        if let Ok((_, notification)) = outcome {
            prop_assert_eq!(Bytes::from(notification.recipient.key()), entry.key);
        }
    }

    #[test]
    fn a_run_is_unpacked_as_the_copies_it_was_made_of(
        copies in prop::collection::vec((headers(), prop::collection::vec(any::<u8>(), 0..40)), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let key = Bytes::from_static(b"acme/alice");
        let copies: Vec<Entry> = copies
            .into_iter()
            .map(|(headers, payload)| Entry { key: key.clone(), headers, payload: payload.into() })
            .map(|entry| {
                let position = Position { epoch: Epoch(1), partition: PartitionId(2), offset: 7 };
                record::parked::encode(&entry, position, ParkReason::Offline)
            })
            .collect();
        let run = record::run::pack(&copies);
        prop_assert_eq!(record::run::copies(&run), copies.len());
        prop_assert_eq!(run.payload.len() + copies.len() * key.len(), copies.iter().map(record::run::packed_bytes).sum::<usize>());
        prop_assert_eq!(record::run::unpack(&run).unwrap(), copies.clone());
        prop_assert_eq!(record::run::unpack(&copies[0]).unwrap(), vec![copies[0].clone()]);
        let payload = run.payload.slice(..cut.index(run.payload.len()));
        let cut_off = Entry { payload, ..run };
        prop_assert!(record::run::unpack(&cut_off).is_err());
    }

    #[test]
    fn any_body_of_a_run_is_unpacked_or_refused(payload in prop::collection::vec(any::<u8>(), 0..200), count in 0_u32..9) {
        let headers = vec![("pr_run".into(), Bytes::from(count.to_string()))];
        let entry = Entry { key: Bytes::new(), headers, payload: payload.into() };
        if let Ok(copies) = record::run::unpack(&entry) {
            prop_assert_eq!(copies.len(), count as usize);
        }
    }

    #[test]
    fn a_record_without_a_header_that_must_be_there_is_refused(notification in notification(), which in 0_usize..4) {
        let name = ["ce_id", "ce_source", "ce_type", "ce_time"][which];
        let mut entry = record::encode(&notification);
        entry.headers.retain(|(header, _)| header != name);
        prop_assert_eq!(record::decode(&entry), Err(MalformedRecord::Missing(name)));
    }

    #[test]
    fn a_key_that_contradicts_the_headers_is_refused(notification in notification()) {
        let mut entry = record::encode(&notification);
        entry.key = Bytes::from(format!("{}x", notification.recipient.key().chars().rev().collect::<String>()));
        prop_assert!(record::decode(&entry).is_err());
    }
}
