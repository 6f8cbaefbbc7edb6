//! The promises, tried on the whole pipeline. Every scenario runs on both engine columns with the same code: embedded in
//! one process, and four processes on real Kafka, Redis and Postgres (`scripts/test` starts them). File names are the
//! guarantees; `docs/GUARANTEES.md` is the index.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::large_futures,
    unreachable_pub,
    reason = "a test fails by panicking; its modules are its own, its futures are few"
)]

mod absence_is_explained;
mod accepted_means_durable;
mod at_least_once_without_visible_duplicates;
mod bounded;
mod dead_letters;
mod enriched_before_delivery;
mod hostile_tasks_harm_nobody;
mod in_the_browser;
mod log_waits_for_the_client;
mod nothing_is_unaccounted;
mod one_trace;
mod operators_see_everything_but_secrets;
mod stored_before_new;
mod tasks_end_once;

#[path = "../../../executor/tests/sandbox/gets.rs"]
#[allow(dead_code, reason = "shared with the sandbox's tests, which use all of it")]
mod gets;
#[path = "../../../executor/tests/sandbox/guests.rs"]
#[allow(dead_code, reason = "shared with the sandbox's tests, which use all of it")]
mod guests;
#[path = "../stack/stack.rs"]
mod stack;

/// Runs a scenario on both engine columns.
macro_rules! on_both_columns {
    ($($(#[$doc:meta])* $scenario:ident),+ $(,)?) => {$(
        $(#[$doc])*
        mod $scenario {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                let pipeline = crate::stack::Stack::embedded().await;
                super::super::$scenario(pipeline).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn distributed() {
                let pipeline = crate::stack::Stack::distributed().await;
                super::super::$scenario(pipeline).await;
            }
        }
    )+};
}
pub(crate) use on_both_columns;
