//! One open WebSocket session as a task: a socket, a timer, and whatever the session has for its client. Small, since
//! there is one for every client that is there and does nothing.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use shared::serve::Place;
use tokio::time::{Instant, Sleep, sleep_until};

use super::client::Client;
use super::wire::{Ended, Wire};
use crate::protocol::Close;

/// An open session and its socket. Dropping it ends the session.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) wire: Wire,
    /// Keeps it under the cap of connections.
    pub(super) place: Option<Place>,
}

impl Connection {
    /// Serves the connection until it is closed.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` would hold what it is given twice")]
    pub(super) fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            let ended = self.serve().await;
            crate::metrics::websocket_ended(&ended);
            // What is only needed at the end is allocated at the end.
            Box::pin(self.finish(ended)).await;
        }
    }

    async fn serve(&mut self) -> Ended {
        let mut timer = pin!(sleep_until(self.deadline()));
        std::future::poll_fn(|context| {
            loop {
                match self.turn(timer.as_mut(), context) {
                    Ok(true) => {}
                    Ok(false) => return Poll::Pending,
                    Err(ended) => return Poll::Ready(ended),
                }
            }
        })
        .await
    }

    /// Does what can be done now; answers whether there was anything.
    fn turn(&mut self, mut timer: Pin<&mut Sleep>, context: &mut Context<'_>) -> Result<bool, Ended> {
        let Self { client, wire, .. } = self;
        if client.edge.is_stopped() {
            return Err(client.go_away(wire));
        }
        let mut busy = !wire.is_idle() && ready(wire.poll_flush(context))?;
        let edge = std::sync::Arc::clone(&client.edge);
        busy |= ready(wire.poll_hear(context, &edge.settings, |answers, said| client.hear(answers, said)))?;
        if !wire.is_idle() {
            client.handle.watch(context);
        } else if client.handle.poll_ready(context).is_ready() {
            client.write(wire)?;
            busy = true;
        }
        let deadline = self.deadline();
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(context).is_ready() {
            self.client.on_time(&mut self.wire)?;
            timer.reset(self.deadline());
            busy = true;
        }
        Ok(busy)
    }

    fn deadline(&self) -> Instant {
        let next = self.client.deadline();
        let write = self.wire.write_deadline(self.client.edge.settings.write_ms);
        write.map_or(next, |write| write.min(next))
    }

    async fn finish(self, ended: Ended) {
        let Self { client, wire, place } = self;
        let edge = std::sync::Arc::clone(&client.edge);
        // What its client acknowledges before it hears that it must go still counts.
        let left = (ended == Ended::Closed(Close::GoAway)).then_some(client);
        wire.finish(ended, &edge.settings, |said| left.iter().for_each(|client| client.hear_last(&said)))
            .await;
        drop(place);
    }
}

/// Whether it is ready, and did not fail.
fn ready(polled: Poll<Result<(), Ended>>) -> Result<bool, Ended> {
    match polled {
        Poll::Ready(done) => done.map(|()| true),
        Poll::Pending => Ok(false),
    }
}
