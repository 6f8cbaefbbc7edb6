//! What others do to a task while it is under way: they cancel it, take it over, or the store is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use shared::clock::Timestamp;
use shared::store::{
    Begun, DueTask, Effort, Error, Finish, Hold, Lease, NewTask, Renewed, TaskChange, TaskReview as _,
    TaskRuns,
};
use shared::task::TaskState;

use crate::engines::Tasks;
use crate::stage::{Stage, eventually};
use crate::{ALICE, BOB, guests};

/// The store as executors see it.
struct Seen {
    store: Arc<Tasks>,
    away: AtomicBool,
    /// Whether leases cannot be prolonged.
    numb: AtomicBool,
    /// Which task the store cannot hold.
    unfit: Option<&'static str>,
}

impl Seen {
    fn of(store: &Arc<Tasks>) -> Self {
        Self {
            store: Arc::clone(store),
            away: AtomicBool::default(),
            numb: AtomicBool::default(),
            unfit: None,
        }
    }

    fn answers(&self, flag: &AtomicBool) -> Result<(), Error> {
        let away = self.away.load(Ordering::SeqCst) || flag.load(Ordering::SeqCst);
        if away { Err(Error::Unavailable(None)) } else { Ok(()) }
    }
}

#[async_trait]
impl TaskRuns for Seen {
    async fn begin(&self, tasks: &[NewTask], lease: &Lease, now: Timestamp) -> Result<Vec<Begun>, Error> {
        self.answers(&self.away)?;
        if tasks.iter().any(|task| Some(task.key.id.as_str()) == self.unfit) {
            return Err(Error::Rejected("a value that cannot be held".into()));
        }
        self.store.begin(tasks, lease, now).await
    }

    async fn renew(&self, holds: &[Hold], until: Timestamp) -> Result<Vec<Renewed>, Error> {
        self.answers(&self.numb)?;
        self.store.renew(holds, until).await
    }

    async fn finish(&self, ends: &[(Hold, Finish, Effort)], now: Timestamp) -> Result<Vec<bool>, Error> {
        self.answers(&self.away)?;
        self.store.finish(ends, now).await
    }

    async fn published(&self, holds: &[Hold]) -> Result<(), Error> {
        self.answers(&self.away)?;
        self.store.published(holds).await
    }

    async fn due(&self, now: Timestamp, patience: Duration, limit: u32) -> Result<Vec<DueTask>, Error> {
        self.answers(&self.away)?;
        self.store.due(now, patience, limit).await
    }

    async fn backlog(&self, most: u32) -> Result<[u64; 3], Error> {
        self.answers(&self.away)?;
        self.store.backlog(most).await
    }

    async fn purge_tasks(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        self.answers(&self.away)?;
        self.store.purge_tasks(before, limit).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_cancelled_while_it_runs_stops_and_the_next_goes_on() {
    let stage = Stage::open().await;
    stage.shelf.put("hangs", &guests::hangs(), "{}");
    stage.shelf.put("echo", &guests::echo(), "{}");
    let executor = stage.start();
    stage.order(ALICE, "n-1", "hangs").await;
    stage.order(ALICE, "n-2", "echo").await;
    eventually("running", async || stage.count(TaskState::Running).await == 1).await;
    stage.store.change_task(&stage.key("n-1"), TaskChange::Cancel, "tests", stage.now()).await.unwrap();
    eventually("committed", async || stage.is_committed("executor.tasks").await).await;
    executor.stop().await;
    assert_eq!(stage.task("n-1").await.state, TaskState::Cancelled);
    assert_eq!(stage.published_to(ALICE).await, ["content of n-2"]);
    assert!(stage.dead().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_lease_is_anothers_is_dropped_and_counts_for_nothing() {
    let mut stage = Stage::open().await;
    // Nobody but the other one, below, takes it over.
    stage.config.reaper.poll_ms = Duration::from_secs(3600);
    let seen = Arc::new(Seen::of(&stage.store));
    stage.runs = Arc::clone(&seen) as _;
    stage.shelf.put("hangs", &guests::hangs(), "{}");
    let executor = stage.start();
    stage.order(ALICE, "n-1", "hangs").await;
    eventually("running", async || stage.count(TaskState::Running).await == 1).await;
    seen.numb.store(true, Ordering::SeqCst);
    let found = async || stage.store.due(stage.now(), Duration::ZERO, 10).await.unwrap();
    eventually("its lease ran out", async || found().await.len() == 1).await;
    let due = found().await.remove(0);
    let task = stage.task("n-1").await;
    let again = NewTask {
        key: due.key,
        recipient: task.recipient,
        module: task.module,
        version: task.version,
        code: task.code,
        origin: task.origin,
        schedule: task.schedule,
        record: due.record,
        position: due.position,
        created: task.created,
    };
    let lease = Lease { instance: "other".into(), until: stage.now().after(Duration::from_secs(600)) };
    let begun = stage.store.begin(&[again], &lease, stage.now()).await.unwrap().remove(0);
    let Begun::Run { hold, attempt: 2 } = begun else { panic!("{begun:?}") };
    let done = Finish::Completed { outputs: bytes::Bytes::new(), result: "{}".into() };
    assert_eq!(stage.store.finish(&[(hold, done, Effort::default())], stage.now()).await.unwrap(), [true]);
    seen.numb.store(false, Ordering::SeqCst);
    eventually("the first one let go", async || stage.is_committed("executor.tasks").await).await;
    executor.stop().await;
    let task = stage.task("n-1").await;
    assert_eq!((task.state, task.instance.as_deref()), (TaskState::Completed, Some("other")));
    assert!(stage.dead().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_tasks_wait_and_enrichments_do_not() {
    let mut stage = Stage::open().await;
    let seen = Arc::new(Seen::of(&stage.store));
    seen.away.store(true, Ordering::SeqCst);
    stage.runs = Arc::clone(&seen) as _;
    stage.shelf.put("echo", &guests::echo(), "{}");
    let executor = stage.start();
    for number in 0..20 {
        stage.order(ALICE, &format!("n-{number}"), "echo").await;
    }
    stage.enrich(BOB, "n-20", "echo", shared::task::OnTimeout::DeadLetter).await;
    eventually("enriched", async || stage.published_to(BOB).await.len() == 1).await;
    assert!(stage.is_untouched("executor.tasks", ALICE).await);
    seen.away.store(false, Ordering::SeqCst);
    eventually("all done", async || stage.count(TaskState::Completed).await == 20).await;
    eventually("committed", async || stage.is_committed("executor.tasks").await).await;
    executor.stop().await;
    for number in 0..20 {
        assert_eq!(stage.task(&format!("n-{number}")).await.attempt, 1, "n-{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_cannot_hold_becomes_a_dead_letter_and_holds_nobody_up() {
    let mut stage = Stage::open().await;
    stage.runs = Arc::new(Seen { unfit: Some("n-unfit"), ..Seen::of(&stage.store) });
    stage.shelf.put("echo", &guests::echo(), "{}");
    let executor = stage.start();
    stage.order(ALICE, "n-unfit", "echo").await;
    stage.order(ALICE, "n-1", "echo").await;
    for number in 2..12 {
        stage.order(BOB, &format!("n-{number}"), "echo").await;
    }
    eventually("all others done", async || stage.count(TaskState::Completed).await == 11).await;
    eventually("committed", async || stage.is_committed("executor.tasks").await).await;
    executor.stop().await;
    assert_eq!(stage.dead().await, [("n-unfit".into(), "unfit".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_somebody_asks_for_again_is_found_and_run_anew() {
    let stage = Stage::open().await;
    stage.shelf.put("good", &guests::traps(), "{}");
    let executor = stage.start();
    stage.order(ALICE, "n-1", "good").await;
    eventually("failed", async || stage.count(TaskState::Failed).await == 1).await;
    stage.shelf.put("good", &guests::echo(), "{}");
    tokio::time::sleep(stage.config.catalogue.refresh_ms).await;
    stage.store.change_task(&stage.key("n-1"), TaskChange::Retry, "tests", stage.now()).await.unwrap();
    eventually("completed", async || stage.count(TaskState::Completed).await == 1).await;
    eventually("published", async || stage.published_to(ALICE).await == ["content of n-1"]).await;
    executor.stop().await;
    assert_eq!(stage.task("n-1").await.attempt, 1);
}
