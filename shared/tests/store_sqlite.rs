//! The store contract, on SQLite.

use std::sync::Arc;
use std::time::Duration;

use shared::config::StoreSettings;
use shared::store::contract::{self, NOW, quota};
use shared::store::sqlite::Store;
use shared::store::{Error, Inbox as _, Migrate as _};
use tempfile::TempDir;

async fn store() -> (Arc<Store>, TempDir) {
    let directory = TempDir::new().expect("a temporary directory");
    let settings = StoreSettings { recipient_quota: quota::QUOTA, ..StoreSettings::default() };
    let store = Store::open(directory.path().join("store.db"), &settings).expect("a store");
    store.migrate().await.expect("the schema");
    (store, directory)
}

#[tokio::test]
async fn the_inbox_keeps_the_contract() {
    let (store, _directory) = store().await;
    contract::inbox::all(&*store).await;
}

#[tokio::test]
async fn the_quota_keeps_the_contract() {
    let (store, _directory) = store().await;
    quota::all(&*store).await;
}

#[tokio::test]
async fn expiry_keeps_the_contract() {
    let (store, _directory) = store().await;
    contract::expiry::all(&*store).await;
}

#[tokio::test]
async fn dead_letters_keep_the_contract() {
    let (store, _directory) = store().await;
    contract::dead::all(&*store).await;
}

#[tokio::test]
async fn keys_keep_the_contract() {
    let (store, _directory) = store().await;
    contract::keys::all(&*store).await;
}

#[tokio::test]
async fn modules_keep_the_contract() {
    let (store, _directory) = store().await;
    contract::modules::all(&*store).await;
}

#[tokio::test]
async fn schedules_keep_the_contract() {
    let (store, _directory) = store().await;
    contract::schedules::all(&*store).await;
}

#[tokio::test]
async fn the_small_store_of_tasks_keeps_the_contract() {
    let (store, _directory) = store().await;
    contract::key_values::all(&*store).await;
}

#[tokio::test]
async fn tasks_keep_the_contract() {
    let (store, _directory) = store().await;
    contract::tasks::all(&*store).await;
}

#[tokio::test]
async fn a_store_without_its_schema_says_what_to_run() {
    let directory = TempDir::new().unwrap();
    let store = Store::open(directory.path().join("store.db"), &StoreSettings::default()).unwrap();
    assert!(!store.is_current().await.unwrap());
    let Err(Error::Rejected(why)) = store.archived_upto(shared::position::PartitionId(0)).await else {
        panic!("answered without a schema");
    };
    assert!(why.to_string().contains("postrider migrate"), "{why}");
    let (one, other) = tokio::join!(store.migrate(), store.migrate());
    assert_eq!((one.unwrap(), other.unwrap()), (4, 4));
    assert!(store.is_current().await.unwrap());
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_store_is_opened_again() {
    let (store, directory) = store().await;
    let here = shared::position::PartitionId(3);
    store.archive(here, 0, 9, &[], NOW).await.unwrap();
    store.close().await;
    assert!(matches!(store.archived_upto(here).await, Err(Error::Unavailable(_))));
    let again = Store::open(directory.path().join("store.db"), &StoreSettings::default()).unwrap();
    assert_eq!(again.archived_upto(here).await.unwrap(), 9);
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_unavailable_within_the_deadline() {
    let settings =
        StoreSettings { embedded_timeout_ms: Duration::from_millis(300), ..StoreSettings::default() };
    let store = Store::open("/nonexistent/store.db", &settings).unwrap();
    let asked = tokio::time::Instant::now();
    let answer = store.archived_upto(shared::position::PartitionId(0)).await;
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    assert!(asked.elapsed() < Duration::from_secs(3));
}
