//! A service dies or stops while producers and clients go on.

use crate::stack::load::{Load, Mix};
use crate::stack::{Fault, Part, Plan, Scale, Stack};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_director_killed_under_load_loses_nothing() {
    let mut stack = Stack::start(Plan { directors: 2, distributors: 2, ..Plan::default() }).await;
    let mut load = Load::start(&stack, Mix::default()).await;
    load.steady().await;
    stack.fault(Part::Director(0), Fault::Killed).await;
    Scale::of_this_run().outage().await;
    stack.heal(Part::Director(0)).await;
    load.settle().await.must_balance();
}
