//! The log in one SQLite file, for a pipeline in one process: nothing to install, nothing lost on kill -9.
//!
//! [`Log::open`] starts the writer, the one task that writes: it commits everything that waits in one synced
//! transaction. Members read by themselves through other connections. Groups live in the process; how far each has
//! finished is in the file.

mod balance;
mod core;
mod file;
mod group;
mod insert;
mod member;
mod reading;
mod retention;
mod row;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use self::core::Core;
use self::file::{File, lay_out};
use self::member::Member;
use self::writer::{Append, Request, Writer};
use super::{
    Appender, Consumer, Ends, Entry, Error, Interest, Placed, Provision, Subscriber, TopicState, metrics,
};
use crate::clock::Clock;
use crate::config::LogSettings;
use crate::position::{Epoch, PartitionId};
use crate::topic::{Topic, partition_of};

/// Most calls that wait for the writer; the memory of their records is bounded apart.
const MOST_CALLS: usize = 16 * 1024;
/// What a record weighs beside its bytes, against `log.sqlite.queue_kbytes`.
const RECORD_OVERHEAD_BYTES: usize = 128;

/// The log in one file.
pub struct Log {
    core: Arc<Core>,
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    made: AtomicBool,
}

impl Log {
    /// Opens the file at `path`, making it when it is not there, and starts the writer.
    ///
    /// # Errors
    /// [`Error::Rejected`] when another process has it open, when it is no log, or may not be written;
    /// [`Error::Unavailable`] when the disk fails.
    pub async fn open(
        path: &Path,
        settings: &LogSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        metrics::show("sqlite");
        let file = File::open(path).await?;
        let mut connection = file.connect().await?;
        let (layouts, made) = lay_out(&mut connection, settings).await?;
        let core = Arc::new(Core::new(&file, layouts, settings, clock)?);
        if core.partitions != settings.partitions {
            tracing::warn!(
                settings = settings.partitions,
                file = core.partitions,
                "log.partitions is not what the file has; the file counts"
            );
        }
        let (requests, waiting) = mpsc::channel(MOST_CALLS);
        let writer = Writer::new(Arc::clone(&core), file, waiting, connection, &settings.sqlite);
        tokio::spawn(writer.run());
        let room = Arc::new(Semaphore::new(settings.sqlite.queue_kbytes as usize));
        Ok(Arc::new(Self { core, requests, room, made: AtomicBool::new(made) }))
    }

    /// Writes what waits and closes the file; whoever uses the log afterwards is told that it is closed.
    pub async fn close(&self) {
        let (answer, stopped) = oneshot::channel();
        if self.requests.send(Request::Stop(answer)).await.is_ok() {
            // The writer is gone when it cannot answer.
            let _stopped_or_gone = stopped.await;
        }
    }

    /// Room in the bounded memory, for one record.
    fn admit(&self, topic: Topic, entry: &Entry) -> Result<OwnedSemaphorePermit, Error> {
        let size_bytes = entry.size_bytes();
        if size_bytes > topic.most_bytes(self.core.max_record_bytes) {
            return Err(Error::TooLarge);
        }
        let kbytes = u32::try_from((size_bytes + RECORD_OVERHEAD_BYTES).div_ceil(1024)).unwrap_or(u32::MAX);
        Arc::clone(&self.room)
            .try_acquire_many_owned(kbytes)
            .map_err(|full| Error::Unavailable(Some(Box::new(full))))
    }

    /// Hands `records` to the writer and waits for their places.
    async fn write(
        &self,
        topic: Topic,
        records: Vec<(PartitionId, Vec<u8>)>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<Vec<Placed>, Error> {
        let (answer, placed) = oneshot::channel();
        self.requests.try_send(Request::Append(Append { topic, records, answer, room })).map_err(
            |refused| match refused {
                TrySendError::Full(_) => Error::Unavailable(None),
                TrySendError::Closed(_) => Error::Closed,
            },
        )?;
        match tokio::time::timeout(self.core.delivery_timeout, placed).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_stopped)) => Err(Error::Closed),
            Err(elapsed) => Err(Error::Unavailable(Some(Box::new(elapsed)))),
        }
    }
}

#[async_trait]
impl Appender for Log {
    async fn append(&self, topic: Topic, entries: Vec<Entry>) -> Vec<Result<Placed, Error>> {
        let started = Instant::now();
        let mut room: Option<OwnedSemaphorePermit> = None;
        let mut records = Vec::with_capacity(entries.len());
        let mut answers: Vec<Result<(), Error>> = Vec::with_capacity(entries.len());
        for entry in entries {
            answers.push(self.admit(topic, &entry).map(|permit| {
                match &mut room {
                    Some(room) => room.merge(permit),
                    None => room = Some(permit),
                }
                records.push((partition_of(&entry.key, self.core.partitions), row::encode(&entry)));
            }));
        }
        let mut written = Ok(Vec::new().into_iter());
        if !records.is_empty() {
            written = self.write(topic, records, room).await.map(Vec::into_iter).map_err(Arc::new);
        }
        metrics::appended("sqlite", started.elapsed());
        let answers = answers.into_iter().map(|admitted| {
            admitted?;
            match &mut written {
                Ok(placed) => placed.next().ok_or(Error::Unavailable(None)),
                Err(error) => Err(writer::same_kind(error)),
            }
        });
        let count = |answer: &Result<Placed, Error>| {
            if let Err(error) = answer {
                metrics::append_failed("sqlite", error);
            }
        };
        answers.inspect(count).collect()
    }
}

#[async_trait]
impl Subscriber for Log {
    async fn subscribe(
        &self,
        topic: Topic,
        group: &str,
        interest: Interest,
    ) -> Result<Box<dyn Consumer>, Error> {
        let earliest = || {
            (0..self.core.partitions)
                .map(|partition| self.core.first(topic, PartitionId(partition)))
                .collect()
        };
        let group = self.core.groups.obtain(topic, group, earliest);
        // A new group is on disk before it reads: from then on retention keeps what it needs.
        let (answer, saved) = oneshot::channel();
        self.requests.send(Request::Save(answer)).await.map_err(|_stopped| Error::Closed)?;
        saved.await.map_err(|_stopped| Error::Closed)??;
        Ok(Box::new(Member::join(Arc::clone(&self.core), self.requests.clone(), group, interest)))
    }
}

#[async_trait]
impl Ends for Log {
    async fn end(&self, topic: Topic, partition: PartitionId) -> Result<u64, Error> {
        if partition.0 >= self.core.partitions {
            return Err(Error::Rejected(format!("there is no partition {partition}").into()));
        }
        Ok(self.core.end(topic, partition))
    }

    fn partitions(&self) -> u32 {
        self.core.partitions
    }

    fn epoch(&self) -> Epoch {
        self.core.epoch
    }

    fn max_record_bytes(&self) -> usize {
        self.core.max_record_bytes
    }
}

#[async_trait]
impl Provision for Log {
    /// The topics are made when the file is opened; the first call tells.
    async fn ensure(&self) -> Result<Vec<TopicState>, Error> {
        let created = self.made.swap(false, Ordering::SeqCst);
        let state = |topic| TopicState {
            topic,
            name: self.core.name(topic).to_owned(),
            partitions: self.core.partitions,
            created,
            faults: Vec::new(),
        };
        Ok(Topic::ALL.into_iter().map(state).collect())
    }
}
