//! Dead letters that somebody decides about: requeued in order, ended visibly, purged in time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shared::clock::Timestamp;
use shared::position::{Epoch, PartitionId, Position};
use shared::recipient::{Recipient, TenantId};
use shared::record;
use shared::store::{
    DeadChange, DeadFilter, DeadLetter, DeadLetters as _, DeadReview as _, DeadRow, DeadState, Error,
    Requested, Requeues, Settled,
};

use super::node::{Mood, Node};
use super::stage::{Stage, eventually};

const ALICE: &str = "acme/alice";
const BOB: &str = "other/bob";

async fn requeue_all(stage: &Stage) -> u64 {
    let (filter, now) = (DeadFilter::default(), Timestamp::from_millis(7));
    stage.store.change_dead(&filter, DeadChange::Requeue, "tests", now, 1000).await.unwrap()
}

async fn all_are(stage: &Stage, count: usize, state: DeadState) -> bool {
    let letters = stage.dead_letters().await;
    letters.len() == count && letters.iter().all(|letter| letter.state == state)
}

/// Dead letters that a client refused, `count` of each recipient.
async fn refused(stage: &Stage, node: &Node, recipients: &[&str], count: u64) {
    let mut sessions = Vec::new();
    for recipient in recipients {
        sessions.push(node.session(&stage.registry, recipient, Mood::Refuse).await);
    }
    let director = stage.direct();
    for recipient in recipients {
        stage.publish(recipient, 0..count).await;
    }
    let expected = recipients.len() * usize::try_from(count).unwrap();
    eventually("all dead letters", async || all_are(stage, expected, DeadState::Dead).await).await;
    director.stop().await;
    sessions.into_iter().for_each(|session| node.script(session, Mood::Acknowledge));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_requeued_once_in_the_order_of_its_positions() {
    let mut stage = Stage::open().await;
    stage.config.dead_letters.requeue_poll_ms = Duration::from_millis(20);
    stage.config.dead_letters.requeue_rate = 10_000;
    let node = Node::start(&stage.registry).await;
    refused(&stage, &node, &[ALICE, BOB], 12).await;
    assert_eq!((requeue_all(&stage).await, requeue_all(&stage).await), (24, 0));
    let director = stage.direct();
    eventually("requeued", async || all_are(&stage, 24, DeadState::Requeued).await).await;
    let mut last: HashMap<String, u64> = HashMap::new();
    for letter in stage.dead_letters().await {
        let again = letter.requeued_at.unwrap();
        assert_eq!(again.partition, letter.position.partition);
        let before = last.insert(letter.key, again.offset);
        assert!(before.is_none_or(|before| before < again.offset), "{before:?} {again:?}");
    }
    let ids = stage.ids(ALICE).await;
    assert_eq!(ids[..12], ids[12..24]);
    director.stop().await;
    assert_eq!(ids.len(), 24, "none was appended twice");
}

/// Appended, and killed before that was written down.
struct LosesMarks {
    store: Arc<shared::store::sqlite::Store>,
    lost: AtomicUsize,
}

#[async_trait]
impl Requeues for LosesMarks {
    async fn requested(
        &self,
        after: Option<&TenantId>,
        tenants: u32,
        each: u32,
    ) -> Result<Vec<Requested>, Error> {
        self.store.requested(after, tenants, each).await
    }
    async fn requested_letters(&self, positions: &[Position]) -> Result<Vec<DeadLetter>, Error> {
        self.store.requested_letters(positions).await
    }
    async fn settle(&self, _settled: &[(Position, Settled)], _now: Timestamp) -> Result<(), Error> {
        self.lost.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
    async fn waiting(&self, most: u32) -> Result<u64, Error> {
        self.store.waiting(most).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requeue_whose_mark_was_lost_is_appended_again_with_the_same_id() {
    let mut stage = Stage::open().await;
    stage.config.dead_letters.requeue_poll_ms = Duration::from_millis(20);
    let node = Node::start(&stage.registry).await;
    refused(&stage, &node, &[ALICE], 3).await;
    requeue_all(&stage).await;
    let loses = Arc::new(LosesMarks { store: Arc::clone(&stage.store), lost: AtomicUsize::new(0) });
    let director = stage.direct_with(loses.clone());
    eventually("appended", async || loses.lost.load(Ordering::SeqCst) == 1).await;
    assert!(all_are(&stage, 3, DeadState::RequeueRequested).await);
    director.die().await;
    let director = stage.direct();
    eventually("requeued", async || all_are(&stage, 3, DeadState::Requeued).await).await;
    director.stop().await;
    assert_eq!(stage.ids(ALICE).await, ["n-0", "n-1", "n-2", "n-0", "n-0", "n-1", "n-2"]);
}

/// A dead letter of a notification that expires then, kept beside those of any director.
fn row(stage: &Stage, number: u64, expires: Timestamp) -> DeadRow {
    let mut notification = stage.notification(ALICE, number);
    notification.expires = expires;
    let entry = record::encode(&notification);
    let alice = Recipient::parse_key(ALICE).unwrap();
    DeadRow {
        position: Position { epoch: Epoch(1), partition: PartitionId(77), offset: number },
        tenant: Some(alice.tenant),
        recipient: Some(alice.id),
        key: ALICE.into(),
        code: "refused".into(),
        detail: String::new(),
        headers: entry.headers,
        payload: entry.payload,
        time: expires,
        notification: Some(notification.id),
        cut: false,
        requeueable: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expired_before_its_turn_ends_expired_and_what_does_not_parse_stays_dead() {
    let mut stage = Stage::open().await;
    stage.config.dead_letters.requeue_poll_ms = Duration::from_millis(20);
    let late = row(&stage, 0, Timestamp::from_millis(5_000));
    let mut broken = row(&stage, 1, Timestamp::from_millis(u64::MAX / 4));
    (broken.headers, broken.key, broken.recipient) = (Vec::new(), BOB.into(), None);
    broken.time = late.time;
    stage.config.dead_letters.retention_ms = Duration::from_secs(1_000_000_000_000);
    stage.store.archive_dead(PartitionId(77), 0, 2, &[late, broken]).await.unwrap();
    assert_eq!(requeue_all(&stage).await, 2);
    let director = stage.direct();
    eventually("settled", async || {
        let letters = stage.dead_letters().await;
        let states: Vec<_> = letters.iter().map(|letter| (letter.state, letter.requeueable)).collect();
        states == [(DeadState::Expired, true), (DeadState::Dead, false)]
    })
    .await;
    director.stop().await;
    assert!(stage.ids(ALICE).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_long_enough_is_purged_a_bounded_number_at_a_time() {
    let mut stage = Stage::open().await;
    stage.config.dead_letters.purge_ms = Duration::from_millis(20);
    stage.config.dead_letters.purge_rows = 1;
    let old = Timestamp::from_millis(5_000);
    let rows: Vec<_> = (0..3).map(|number| row(&stage, number, old)).collect();
    let young = DeadRow { time: stage.now(), ..row(&stage, 3, old) };
    stage.store.archive_dead(PartitionId(77), 0, 4, &[rows, vec![young]].concat()).await.unwrap();
    let director = stage.direct();
    eventually("the old ones are gone", async || {
        let left = stage.dead_letters().await;
        left.iter().map(|letter| letter.position.offset).collect::<Vec<_>>() == [3]
    })
    .await;
    director.stop().await;
}
