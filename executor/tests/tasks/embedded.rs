//! SQLite for the log and for the store, in a temporary directory.

use std::sync::Arc;

use shared::clock::SystemClock;
use shared::config::{LogSettings, StoreSettings};
use shared::log::sqlite;
use shared::store::Migrate as _;
use shared::store::sqlite::Store;

pub(crate) type Log = sqlite::Log;
pub(crate) type Kept = tempfile::TempDir;
pub(crate) type Tasks = Store;

/// A log and a store of the test's own, and what they live in.
pub(crate) async fn open(partitions: u32) -> (Arc<Log>, Arc<Store>, Kept) {
    let directory = tempfile::tempdir().unwrap();
    let settings = LogSettings { partitions, ..LogSettings::default() };
    let clock = Arc::new(SystemClock);
    let log = Log::open(&directory.path().join("log.db"), &settings, clock).await.unwrap();
    let store = Store::open(directory.path().join("store.db"), &StoreSettings::default()).unwrap();
    store.migrate().await.unwrap();
    (log, store, directory)
}
