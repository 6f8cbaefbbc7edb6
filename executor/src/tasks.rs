//! Running tasks: [`runner`] brings one to its end, [`ledger`] and [`leases`] write and hold what the store knows of it,
//! [`places`] says how many run, [`reaper`] finds what nobody is at.

pub(crate) mod leases;
pub(crate) mod ledger;
pub(crate) mod places;
pub(crate) mod reaper;
pub(crate) mod runner;

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use shared::record::dead::Letter;
use shared::task::Order;
use tokio_util::sync::CancellationToken;

use self::runner::{Runner, Task, Waits, key};
use crate::worker::{Ended, Work};

impl Work<Order> for Runner {
    fn act(self: Arc<Self>, asked: Box<Task>, drain: CancellationToken) -> BoxFuture<'static, Ended> {
        async move {
            let key = key(&asked);
            let claim = tokio::select! {
                () = drain.cancelled() => return Ended::Left,
                claim = self.places.claim(&key) => claim,
            };
            self.run(&asked, claim, Waits::Lane, &drain).await
        }
        .boxed()
    }

    fn bury(self: Arc<Self>, letter: Box<Letter>) -> BoxFuture<'static, Ended> {
        async move {
            self.outlet.bury(&[*letter]).await;
            Ended::Done
        }
        .boxed()
    }
}
