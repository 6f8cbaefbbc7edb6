//! Batches of outcomes: whatever ended survives the log, any other bytes are refused, and a batch stays small.

#![allow(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use proptest::prelude::*;
use shared::clock::Timestamp;
use shared::notification::NotificationId;
use shared::outcome::End;
use shared::position::{Epoch, PartitionId};
use shared::record::outcomes::{self, Outcome};

fn id() -> impl Strategy<Value = NotificationId> {
    let uuid = any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).to_string());
    let almost = any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).simple().to_string());
    let upper = any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).to_string().to_uppercase());
    prop_oneof![uuid, almost, upper, "[!#-\\[\\]-~]{1,128}"]
        .prop_map(|text| NotificationId::parse(&text).unwrap())
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let end = prop::sample::select(vec![End::Acknowledged, End::Parked, End::Expired, End::DeadLettered]);
    (any::<u64>(), id(), end, any::<u64>()).prop_map(|(offset, id, end, time)| Outcome {
        offset,
        id,
        end,
        time: Timestamp::from_millis(time),
    })
}

proptest! {
    #[test]
    fn a_batch_survives_the_log(epoch: u32, partition: u32, all in prop::collection::vec(outcome(), 0..50)) {
        let entry = outcomes::encode("key".into(), Epoch(epoch), PartitionId(partition), &all);
        let most: usize = all.iter().map(Outcome::most_bytes).sum();
        prop_assert!(entry.payload.len() <= 32 + most);
        let batch = outcomes::decode(&entry.payload).unwrap();
        prop_assert_eq!((batch.epoch, batch.partition), (Epoch(epoch), PartitionId(partition)));
        prop_assert_eq!(batch.outcomes, all);
    }

    #[test]
    fn other_bytes_are_refused_and_never_a_panic(payload: Vec<u8>, cut in 1_usize..20, all in prop::collection::vec(outcome(), 1..5)) {
        let _read_or_refused = outcomes::decode(&payload);
        let whole = outcomes::encode("key".into(), Epoch(1), PartitionId(0), &all).payload;
        prop_assert!(outcomes::decode(&whole[..whole.len() - cut.min(whole.len())]).is_err());
        prop_assert!(outcomes::decode(&[&whole[..], b"x"].concat()).is_err());
    }
}

#[test]
fn a_notification_of_the_receiver_takes_about_twenty_bytes() {
    let outcome = |offset| Outcome {
        offset,
        id: NotificationId::parse(&uuid::Uuid::now_v7().to_string()).unwrap(),
        end: End::Acknowledged,
        time: Timestamp::from_millis(1_800_000_000_000 + offset),
    };
    let batch: Vec<Outcome> = (0..1000).map(|offset| outcome(5_000_000_000 + 3 * offset)).collect();
    let payload = outcomes::encode("key".into(), Epoch(1), PartitionId(0), &batch).payload;
    assert!(payload.len() < 21 * batch.len(), "{} bytes", payload.len());
}

#[test]
fn another_version_is_refused() {
    let mut payload = outcomes::encode("key".into(), Epoch(1), PartitionId(0), &[]).payload.to_vec();
    payload[0] += 1;
    assert!(outcomes::decode(&payload).is_err());
}
