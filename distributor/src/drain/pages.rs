//! Reads pages of the store for many sessions in one call.

use std::sync::Arc;

use rand::Rng as _;
use shared::delivery::SessionId;
use shared::position::Cursor;
use shared::retry::Backoff;
use shared::shutdown::Shutdown;
use shared::store::{self, Inbox, Page, PageRequest};

use crate::config::StoreLimits;
use crate::hub::Hub;
use crate::metrics;
use crate::session::Input;

/// A page that a session asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) session: SessionId,
    pub(super) from: Cursor,
    pub(super) limit: u32,
}

/// One of the readers, until `shutdown`. As many run as calls may be under way at a time.
pub(crate) async fn run(hub: Arc<Hub>, inbox: Arc<dyn Inbox>, limits: StoreLimits, shutdown: Shutdown) {
    let backoff = Backoff { base: limits.backoff_ms, cap: limits.backoff_cap_ms };
    let mut failures = 0_u32;
    loop {
        let asked = tokio::select! {
            () = shutdown.begun() => return,
            asked = hub.drain.pages.next(limits.batch) => asked,
        };
        if read(&hub, &*inbox, asked, &limits).await.is_ok() {
            failures = 0;
            continue;
        }
        // Each session asks again after a time of its own; the pause keeps a store that is away from being asked by
        // all of them at once.
        hub.drain.pages.prune(hub.most_waiting(), |asked| hub.cell(asked.session).is_some());
        let pause = backoff.delay(failures, rand::rng().random());
        failures = failures.saturating_add(1);
        tokio::select! {
            () = shutdown.begun() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Reads for `asked`, in as many calls as keep each within the row limit, and answers every session.
async fn read(hub: &Hub, inbox: &dyn Inbox, asked: Vec<Asked>, limits: &StoreLimits) -> Result<(), ()> {
    let mut wanted: Vec<(SessionId, PageRequest)> = Vec::with_capacity(asked.len());
    for Asked { session, from, limit } in asked {
        let Some(cell) = hub.cell(session) else { continue };
        let limit = limit.clamp(1, limits.rows);
        let recipient = cell.recipient().clone();
        wanted.push((session, PageRequest { recipient, partition: cell.partition(), from, limit }));
    }
    let mut outcome = Ok(());
    while !wanted.is_empty() {
        let rest = wanted.split_off(within(&wanted, limits.rows));
        let (sessions, requests): (Vec<_>, Vec<_>) = std::mem::replace(&mut wanted, rest).into_iter().unzip();
        let pages = match inbox.pages(&requests).await {
            Ok(pages) => pages,
            Err(error) => {
                note(&error);
                outcome = Err(());
                Vec::new()
            }
        };
        // An adapter that answers too few answers the others as if it were away: they ask again.
        let pages = pages.into_iter().map(Some).chain(std::iter::repeat_with(|| None::<Page>));
        for (session, page) in sessions.into_iter().zip(pages) {
            hub.input(session, Input::Page(page));
        }
    }
    outcome
}

/// How many of `wanted` together stay within `rows`; at least one.
fn within(wanted: &[(SessionId, PageRequest)], rows: u32) -> usize {
    let mut total = 0_u32;
    let fits = wanted.iter().take_while(|(_, request)| {
        total = total.saturating_add(request.limit);
        total <= rows
    });
    fits.count().max(1)
}

/// Says what failed. Also what the store refuses for good is asked again: a schema may be brought up to date.
pub(crate) fn note(error: &store::Error) {
    metrics::engine_failed("store");
    match error {
        store::Error::Unavailable(_) => tracing::debug!(error = %Causes(error), "the store is unavailable"),
        store::Error::Conflict | store::Error::Rejected(_) => {
            tracing::error!(error = %Causes(error), "the store refuses");
        }
    }
}

/// An error with its sources, for a log line.
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared::position::{Epoch, PartitionId};
    use shared::recipient::Recipient;

    use super::*;

    fn wanting(limits: &[u32]) -> Vec<(SessionId, PageRequest)> {
        let recipient = Recipient::parse_key("acme/alice").unwrap();
        let from = Cursor::start(Epoch(1), PartitionId(0));
        let request = |limit: &u32| PageRequest {
            recipient: recipient.clone(),
            partition: PartitionId(0),
            from,
            limit: *limit,
        };
        limits.iter().map(|limit| (SessionId(0), request(limit))).collect()
    }

    #[test]
    fn a_call_stays_within_the_row_limit_but_makes_progress() {
        assert_eq!(within(&wanting(&[10, 10, 10]), 25), 2);
        assert_eq!(within(&wanting(&[10, 10]), 25), 2);
        assert_eq!(within(&wanting(&[99]), 25), 1);
    }
}
