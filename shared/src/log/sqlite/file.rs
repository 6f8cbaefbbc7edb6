//! The data file: how it is opened, locked and laid out. Called by [`super::Log::open`] and by the writer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, SqlitePool};

use super::super::{BoxError, Error};
use super::row::{Slot, offset_of};
use crate::config::LogSettings;
use crate::position::{Epoch, PartitionId};
use crate::topic::Topic;

/// How long opening waits for another log on the same file, this process's or another's, to be gone.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// The write-ahead log is cut back to this size after a checkpoint.
const WAL_BYTES: &str = "67108864";

/// A file that this process alone has open as a log.
#[derive(Debug)]
pub(super) struct File {
    options: SqliteConnectOptions,
    _lock: std::fs::File,
}

/// Where a partition's records lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) first: u64,
    pub(super) end: u64,
}

/// A topic as the file has it.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) slot: Slot,
    pub(super) name: String,
    pub(super) extents: Vec<Extent>,
    pub(super) groups: Vec<(String, Vec<u64>)>,
}

impl File {
    /// Opens and, where needed, makes the file.
    pub(super) async fn open(path: &Path) -> Result<Arc<Self>, Error> {
        let lock = lock(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", WAL_BYTES)
            .busy_timeout(Duration::from_secs(5))
            .row_buffer_size(8)
            .disable_statement_logging();
        let file = Self { options, _lock: lock };
        let mut connection = file.connect().await?;
        sqlx::migrate!("migrations/sqlite-log")
            .run(&mut connection)
            .await
            .map_err(|error| Error::Rejected(error.into()))?;
        connection.close().await.map_err(failed)?;
        Ok(Arc::new(file))
    }

    /// A connection that writes.
    pub(super) async fn connect(&self) -> Result<SqliteConnection, Error> {
        SqliteConnection::connect_with(&self.options).await.map_err(failed)
    }

    /// Connections that read.
    pub(super) fn readers(&self, connections: u32, patience: Duration) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(patience)
            .connect_lazy_with(self.options.clone().create_if_missing(false).read_only(true))
    }
}

async fn lock(path: &Path) -> Result<std::fs::File, Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let file = std::fs::File::create(&beside).map_err(|error| Error::Rejected(error.into()))?;
    let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::Error(error)) => return Err(Error::Rejected(error.into())),
            Err(std::fs::TryLockError::WouldBlock) if tokio::time::Instant::now() >= deadline => {
                let why = format!("{} is in use by another process", path.display());
                return Err(Error::Rejected(why.into()));
            }
            Err(std::fs::TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Makes the topics that are missing, and reads how they stand. Answers also whether any was made.
pub(super) async fn lay_out(
    connection: &mut SqliteConnection,
    settings: &LogSettings,
) -> Result<(Vec<Layout>, bool), Error> {
    let mut layouts = Vec::with_capacity(Topic::ALL.len());
    let mut made = false;
    for topic in Topic::ALL {
        let name = topic.name(&settings.prefix, Epoch(settings.epoch));
        made |= sqlx::query("insert into topics (name, partitions) values (?, ?) on conflict do nothing")
            .bind(&name)
            .bind(i64::from(settings.partitions))
            .execute(&mut *connection)
            .await
            .map_err(failed)?
            .rows_affected()
            > 0;
        layouts.push(read_layout(connection, name).await?);
    }
    if layouts.iter().any(|layout| layout.extents.len() != layouts[0].extents.len()) {
        return Err(Error::Rejected("the topics have different numbers of partitions".into()));
    }
    Ok((layouts, made))
}

async fn read_layout(connection: &mut SqliteConnection, name: String) -> Result<Layout, Error> {
    let (slot, partitions): (i64, i64) = sqlx::query_as("select slot, partitions from topics where name = ?")
        .bind(&name)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let slot = u16::try_from(slot).ok().filter(|slot| *slot <= Slot::MOST).map(Slot);
    let slot = slot.ok_or_else(|| Error::Rejected("the file holds too many generations of topics".into()))?;
    let partitions = u32::try_from(partitions).map_err(|error| Error::Rejected(error.into()))?;
    let mut extents = Vec::with_capacity(partitions as usize);
    for partition in (0..partitions).map(PartitionId) {
        extents.push(extent(connection, slot, partition).await?);
    }
    let groups = read_groups(connection, slot, &extents).await?;
    Ok(Layout { slot, name, extents, groups })
}

/// Where a partition's records lie now.
pub(super) async fn extent(
    connection: &mut SqliteConnection,
    slot: Slot,
    partition: PartitionId,
) -> Result<Extent, Error> {
    let first: Option<i64> =
        sqlx::query_scalar("select first from partitions where slot = ? and partition = ?")
            .bind(i64::from(slot.0))
            .bind(i64::from(partition.0))
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
    let last: Option<i64> =
        sqlx::query_scalar("select max(place) from records where place >= ? and place < ?")
            .bind(slot.place(partition, 0))
            .bind(slot.place(PartitionId(partition.0 + 1), 0))
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
    let first = first.map_or(0, i64::cast_unsigned);
    Ok(Extent { first, end: last.map_or(first, |place| offset_of(place) + 1) })
}

async fn read_groups(
    connection: &mut SqliteConnection,
    slot: Slot,
    extents: &[Extent],
) -> Result<Vec<(String, Vec<u64>)>, Error> {
    let rows =
        sqlx::query("select group_name, partition, next from commits where slot = ? order by group_name")
            .bind(i64::from(slot.0))
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
    let earliest: Vec<u64> = extents.iter().map(|extent| extent.first).collect();
    let mut groups: Vec<(String, Vec<u64>)> = Vec::new();
    for row in rows {
        let (name, partition, next): (String, i64, i64) = (
            row.try_get(0).map_err(failed)?,
            row.try_get(1).map_err(failed)?,
            row.try_get(2).map_err(failed)?,
        );
        if groups.last().is_none_or(|(last, _)| *last != name) {
            groups.push((name, earliest.clone()));
        }
        let committed =
            groups.last_mut().and_then(|(_, committed)| committed.get_mut(usize::try_from(partition).ok()?));
        if let Some(committed) = committed {
            *committed = next.cast_unsigned();
        }
    }
    Ok(groups)
}

/// A driver's error by what the caller can do: a full disk passes, a damaged or read-only file does not.
pub(super) fn failed(error: sqlx::Error) -> Error {
    let code = match &error {
        sqlx::Error::Database(database) => database.code().and_then(|code| code.parse::<u32>().ok()),
        _ => None,
    };
    match code.map(|code| code & 0xff) {
        // SQLITE_PERM, READONLY, CORRUPT, CANTOPEN, NOTADB
        Some(3 | 8 | 11 | 14 | 26) => Error::Rejected(Box::new(error)),
        Some(_) | None => Error::Unavailable(Some(Box::new(error) as BoxError)),
    }
}
