//! Taking leave of clients, by the service when it stops.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::LeaveSettings;
use crate::hub::{Closing, ClosingReason, Hub};

/// Asks every client to go, one after the other, each told when to come back; waits for them up to the limit; ends the
/// sessions that are left. What they held goes back to its directors.
pub(crate) async fn leave(hub: &Hub, settings: &LeaveSettings) {
    hub.refuse_new();
    let began = Instant::now();
    let sessions = hub.ids();
    tracing::info!(sessions = sessions.len(), spread = ?settings.spread_ms, "asking clients to go");
    let count = sessions.len();
    for (index, session) in sessions.into_iter().enumerate() {
        let due = began + turn(index, count, settings.spread_ms);
        // Many are due within one grain of the timer: they go together.
        if due > Instant::now() {
            sleep_until(due).await;
        }
        let after = settings.after_ms.mul_f64(rand::rng().random());
        hub.close(session, Closing { after, reason: ClosingReason::Shutdown });
    }
    while !hub.is_empty() && began.elapsed() < settings.limit_ms {
        sleep(Duration::from_millis(20)).await;
    }
    let left = hub.ids();
    if !left.is_empty() {
        tracing::warn!(
            sessions = left.len(),
            "clients still connected after the limit; their sessions are ended"
        );
    }
    for session in left {
        hub.end_by_id(session);
    }
}

/// When the client `index` of `count` is told, in an even row over `spread`.
fn turn(index: usize, count: usize, spread: Duration) -> Duration {
    spread.mul_f64(index as f64 / count.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared::clock::SystemClock;
    use shared::position::Epoch;
    use shared::recipient::Recipient;

    use super::*;
    use crate::Config;
    use crate::hub::{Handle, Opened, Refused, Scope, Transport};
    use crate::session::{Acknowledging, State};

    const SETTINGS: LeaveSettings = LeaveSettings {
        spread_ms: Duration::from_millis(100),
        after_ms: Duration::from_secs(1),
        limit_ms: Duration::from_millis(300),
    };

    fn opened(name: &str) -> Opened {
        Opened {
            recipient: Recipient::parse_key(&format!("acme/{name}")).unwrap(),
            cursor: None,
            acknowledging: Acknowledging::Explicit,
            window: None,
            transport: Transport::WebSocket,
        }
    }

    fn hub_with(sessions: usize) -> (Arc<Hub>, Vec<Handle>) {
        let Config { session, caps, .. } = Config::default();
        let hub = Hub::new(Scope { session, caps, partitions: 4, epoch: Epoch(1) }, Arc::new(SystemClock));
        let handles = (0..sessions).map(|number| hub.open(opened(&format!("r{number}"))).unwrap()).collect();
        (hub, handles)
    }

    #[test]
    fn the_turns_of_clients_lie_evenly_within_the_spread() {
        let spread = Duration::from_secs(10);
        for count in [1, 2, 1000, 100_000] {
            let turns: Vec<_> = (0..count).map(|index| turn(index, count, spread)).collect();
            assert!(turns[0].is_zero() && turns.iter().all(|turn| *turn < spread));
            let pause = spread / u32::try_from(count).unwrap();
            let even = |pair: &[Duration]| (pair[1] - pair[0]).abs_diff(pause) < Duration::from_micros(1);
            assert!(turns.windows(2).all(even), "{count}");
        }
    }

    #[tokio::test]
    async fn every_client_is_told_a_wait_of_its_own_and_who_comes_meanwhile_is_refused() {
        let (hub, handles) = hub_with(500);
        let leaving = leave(&hub, &SETTINGS);
        let clients = async {
            let mut waits = Vec::new();
            for handle in &handles {
                handle.ready().await;
                let Some(closing) = handle.closing() else { panic!("woken for nothing") };
                waits.push(closing.after);
                handle.end();
            }
            assert_eq!(hub.open(opened("late")).unwrap_err(), Refused::Draining);
            waits
        };
        let ((), mut waits) = tokio::join!(leaving, clients);
        assert!(waits.iter().all(|wait| *wait <= SETTINGS.after_ms));
        waits.sort();
        waits.dedup();
        assert!(waits.len() > 450, "only {} different waits", waits.len());
    }

    #[tokio::test]
    async fn a_session_that_is_left_at_the_limit_is_ended_and_an_empty_node_does_not_wait() {
        let (hub, handles) = hub_with(3);
        let begun = Instant::now();
        leave(&hub, &SETTINGS).await;
        assert!(handles.iter().all(|handle| handle.state() == State::Closed));
        assert!(begun.elapsed() >= SETTINGS.limit_ms);
        let patient = LeaveSettings { limit_ms: Duration::from_secs(3600), ..SETTINGS };
        leave(&hub_with(0).0, &patient).await;
    }
}
