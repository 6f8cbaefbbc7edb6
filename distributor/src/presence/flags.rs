//! Reads and clears flags for many sessions in one round trip.

use std::sync::Arc;

use shared::registry::{self, FlagReading, Flags};
use shared::shutdown::Shutdown;

use crate::config::RegistryLimits;
use crate::drain::Causes;
use crate::hub::Hub;
use crate::metrics;
use crate::session::Input;

/// Answers sessions that ask for their flag, until `shutdown`. A registry that is away is an answer, too: the session
/// has the store, and asks again after a time of its own.
pub(crate) async fn run_reads(
    hub: Arc<Hub>,
    flags: Arc<dyn Flags>,
    limits: RegistryLimits,
    shutdown: Shutdown,
) {
    loop {
        let mut sessions = tokio::select! {
            () = shutdown.begun() => return,
            sessions = hub.presence.flags.next(limits.batch) => sessions,
        };
        let mut asked = Vec::with_capacity(sessions.len());
        sessions.retain(|session| {
            let cell = hub.cell(*session);
            asked.extend(cell.iter().map(|cell| (cell.recipient().clone(), cell.partition())));
            cell.is_some()
        });
        if sessions.is_empty() {
            continue;
        }
        let readings = match flags.read(&asked).await {
            Ok(readings) => readings,
            Err(error) => {
                note(&error);
                Vec::new()
            }
        };
        let readings = readings.into_iter().map(Some).chain(std::iter::repeat_with(|| None::<FlagReading>));
        for (session, reading) in sessions.into_iter().zip(readings) {
            hub.input(session, Input::Flag(reading));
        }
    }
}

/// Clears flags until `shutdown`. A failure is answered as not cleared: the flag only says more than is stored.
pub(crate) async fn run_clears(
    hub: Arc<Hub>,
    flags: Arc<dyn Flags>,
    limits: RegistryLimits,
    shutdown: Shutdown,
) {
    loop {
        let mut asked = tokio::select! {
            () = shutdown.begun() => return,
            asked = hub.presence.clears.next(limits.batch) => asked,
        };
        let mut versions = Vec::with_capacity(asked.len());
        asked.retain(|(session, version)| {
            let cell = hub.cell(*session);
            versions.extend(cell.iter().map(|cell| (cell.recipient().clone(), *version)));
            cell.is_some()
        });
        if asked.is_empty() {
            continue;
        }
        let cleared = match flags.clear(&versions).await {
            Ok(cleared) => cleared,
            Err(error) => {
                note(&error);
                Vec::new()
            }
        };
        let cleared = cleared.into_iter().chain(std::iter::repeat(false));
        for ((session, _), cleared) in asked.into_iter().zip(cleared) {
            hub.input(session, Input::FlagCleared { cleared });
        }
    }
}

/// Says what failed.
pub(super) fn note(error: &registry::Error) {
    metrics::engine_failed("registry");
    match error {
        registry::Error::Unavailable(_) => {
            tracing::debug!(error = %Causes(error), "the registry is unavailable");
        }
        registry::Error::Conflict | registry::Error::Rejected(_) => {
            tracing::error!(error = %Causes(error), "the registry refuses");
        }
    }
}
