//! The one task that writes: takes all that waits, writes it in one transaction, answers once it is synced.
//!
//! Offsets are given here and nowhere else. After any failure the connection is given up and where partitions end is
//! read from the file again, so that a commit whose outcome is unknown is settled before the next record is placed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use super::super::{Error, Placed, metrics};
use super::core::Core;
use super::file::{self, File, failed};
use super::group::Finished;
use super::insert::{Row, insert};
use super::retention::Retention;
use crate::position::PartitionId;
use crate::topic::Topic;

/// Most records of one transaction.
const MOST_RECORDS: usize = 4096;
/// Most bytes of one transaction; a single call may be larger.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// How long the writer waits after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What the writer is asked for.
pub(super) enum Request {
    /// Appends.
    Append(Append),
    /// Puts finished offsets on disk.
    Save(oneshot::Sender<Result<(), Error>>),
    /// Writes what is left and stops.
    Stop(oneshot::Sender<()>),
}

/// Records of one call, in order.
pub(super) struct Append {
    pub(super) topic: Topic,
    pub(super) records: Vec<(PartitionId, Vec<u8>)>,
    pub(super) answer: oneshot::Sender<Result<Vec<Placed>, Error>>,
    /// Their share of the bounded memory, given back when this is dropped, and before they are answered.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// What is written in one transaction.
#[derive(Default)]
struct Batch {
    appends: Vec<Append>,
    saves: Vec<oneshot::Sender<Result<(), Error>>>,
    stop: Option<oneshot::Sender<()>>,
    records: usize,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, request: Request) {
        match request {
            Request::Append(append) => {
                self.records += append.records.len();
                self.bytes += append.records.iter().map(|(_, body)| body.len()).sum::<usize>();
                self.appends.push(append);
            }
            Request::Save(answer) => self.saves.push(answer),
            Request::Stop(answer) => self.stop = Some(answer),
        }
    }

    fn is_full(&self) -> bool {
        self.records >= MOST_RECORDS || self.bytes >= MOST_BYTES || self.stop.is_some()
    }
}

pub(super) struct Writer {
    core: Arc<Core>,
    file: Arc<File>,
    requests: mpsc::Receiver<Request>,
    connection: Option<SqliteConnection>,
    commit_interval: Duration,
    saved_at: Instant,
    retention: Retention,
}

impl Writer {
    pub(super) fn new(
        core: Arc<Core>,
        file: Arc<File>,
        requests: mpsc::Receiver<Request>,
        connection: SqliteConnection,
        settings: &crate::config::SqliteLogSettings,
    ) -> Self {
        Self {
            core,
            file,
            requests,
            connection: Some(connection),
            commit_interval: settings.commit_interval_ms,
            saved_at: Instant::now(),
            retention: Retention::new(settings.retention_ms),
        }
    }

    /// Writes until everybody who could ask is gone, or one asks to stop.
    pub(super) async fn run(mut self) {
        let mut stopped = None;
        while let Some(mut batch) = self.collect().await {
            stopped = batch.stop.take();
            self.write(batch).await;
            self.prune().await;
            if stopped.is_some() {
                break;
            }
        }
        self.requests.close();
        self.write(Batch { saves: vec![oneshot::channel().0], ..Batch::default() }).await;
        self.core.readers.close().await;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(error = %error, "the log's file was not closed cleanly; it recovers when it is opened");
        }
        drop(self.file);
        if let Some(answer) = stopped {
            // Whoever asked may have stopped waiting.
            let _nobody_waits = answer.send(());
        }
    }

    /// Everything that waits, or nothing when nobody can ask any more. An empty batch means that offsets are due.
    async fn collect(&mut self) -> Option<Batch> {
        let (unsaved, interval) = (Arc::clone(&self.core.groups.unsaved), self.commit_interval);
        let offsets_due = async {
            unsaved.notified().await;
            tokio::time::sleep(interval).await;
        };
        let mut batch = Batch::default();
        tokio::select! {
            biased;
            request = self.requests.recv() => batch.add(request?),
            () = offsets_due => batch.saves.push(oneshot::channel().0),
            () = tokio::time::sleep_until(self.retention.due()) => {}
        }
        while !batch.is_full() {
            let Ok(request) = self.requests.try_recv() else { break };
            batch.add(request);
        }
        Some(batch)
    }

    async fn write(&mut self, mut batch: Batch) {
        let save = !batch.saves.is_empty() || self.saved_at.elapsed() >= self.commit_interval;
        let unsaved = if save { self.core.groups.take_unsaved() } else { Vec::new() };
        if !save {
            // The permit that announced them may be used up: ask to be called again.
            self.core.groups.unsaved.notify_one();
        }
        let appends = std::mem::take(&mut batch.appends);
        match self.transact(&appends, &unsaved).await {
            Ok(placed) => {
                metrics::group_committed(batch.records);
                self.answer(appends, placed);
                if save {
                    self.saved_at = Instant::now();
                }
                batch.saves.into_iter().for_each(|answer| {
                    let _nobody_waits = answer.send(Ok(()));
                });
            }
            Err(error) => {
                tracing::warn!(error = ?error, "the log's file cannot be written; trying again");
                metrics::trouble("sqlite", "write");
                self.connection = None;
                self.core.groups.put_back(&unsaved);
                self.core.groups.unsaved.notify_one();
                let error = Arc::new(error);
                let answers = appends.into_iter().map(|append| append.answer);
                answers.for_each(|answer| {
                    let _nobody_waits = answer.send(Err(same_kind(&error)));
                });
                batch.saves.into_iter().for_each(|answer| {
                    let _nobody_waits = answer.send(Err(same_kind(&error)));
                });
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }

    fn answer(&self, appends: Vec<Append>, placed: Vec<Vec<Placed>>) {
        let mut touched: BTreeMap<Topic, Vec<PartitionId>> = BTreeMap::new();
        for (append, placed) in appends.iter().zip(&placed) {
            for Placed { partition, offset } in placed {
                self.core.set_end(append.topic, *partition, offset + 1);
                touched.entry(append.topic).or_default().push(*partition);
            }
        }
        for (topic, mut partitions) in touched {
            partitions.sort_unstable();
            partitions.dedup();
            self.core.groups.appended(topic, &partitions);
        }
        for (Append { answer, room, .. }, placed) in appends.into_iter().zip(placed) {
            drop(room);
            let _nobody_waits = answer.send(Ok(placed));
        }
    }

    async fn transact(
        &mut self,
        appends: &[Append],
        unsaved: &[Finished],
    ) -> Result<Vec<Vec<Placed>>, Error> {
        let core = Arc::clone(&self.core);
        let connection = self.connected().await?;
        if appends.is_empty() && unsaved.is_empty() {
            return Ok(Vec::new());
        }
        let now_ms = core.clock.now().as_millis().cast_signed();
        let mut ends: BTreeMap<(Topic, PartitionId), u64> = BTreeMap::new();
        let mut all_placed = Vec::with_capacity(appends.len());
        let mut rows = Vec::new();
        for append in appends {
            let mut placed = Vec::with_capacity(append.records.len());
            for (partition, body) in &append.records {
                let end = ends
                    .entry((append.topic, *partition))
                    .or_insert_with(|| core.end(append.topic, *partition));
                rows.push(Row { place: core.slot(append.topic).place(*partition, *end), now_ms, body });
                placed.push(Placed { partition: *partition, offset: *end });
                *end += 1;
            }
            all_placed.push(placed);
        }
        let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
        insert(&mut transaction, rows).await?;
        for finished in unsaved {
            save(&mut transaction, &core, finished).await?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(all_placed)
    }

    /// The connection; a new one after a failure, with the ends of all partitions as the file has them.
    async fn connected(&mut self) -> Result<&mut SqliteConnection, Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = self.file.connect().await?;
                for topic in Topic::ALL {
                    for partition in (0..self.core.partitions).map(PartitionId) {
                        let slot = self.core.slot(topic);
                        let extent = file::extent(&mut connection, slot, partition).await?;
                        self.core.set_first(topic, partition, extent.first);
                        self.core.set_end(topic, partition, extent.end);
                    }
                }
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    async fn prune(&mut self) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = self.retention.sweep(connection, &self.core).await
        {
            tracing::warn!(error = ?error, "old records are not deleted; trying again");
            metrics::trouble("sqlite", "retention");
            self.connection = None;
        }
    }
}

async fn save(connection: &mut SqliteConnection, core: &Core, finished: &Finished) -> Result<(), Error> {
    sqlx::query(
        "insert into commits (slot, group_name, partition, next) values (?, ?, ?, ?)
         on conflict do update set next = max(next, excluded.next)",
    )
    .bind(i64::from(core.slot(finished.topic).0))
    .bind(finished.group.as_ref())
    .bind(i64::from(finished.partition.0))
    .bind(finished.next.cast_signed())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// The same error for one more who waits.
pub(super) fn same_kind(error: &Arc<Error>) -> Error {
    match &**error {
        Error::Unavailable(_) => Error::Unavailable(Some(Box::new(Arc::clone(error)))),
        Error::Rejected(_) => Error::Rejected(Box::new(Arc::clone(error))),
        Error::TooLarge => Error::TooLarge,
        Error::Closed => Error::Closed,
    }
}
