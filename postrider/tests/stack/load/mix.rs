//! What a load is made of: how many recipients of which manner, how many producers at which rate. Pure.

use std::time::Duration;

use postrider::client::Transport;

use crate::stack::ledger::entry::How;
use crate::stack::scale::Scale;

/// The composition of a load. Shares are percentages of the recipients.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Of the choices of producers and clients; none draws one.
    pub seed: Option<u64>,
    pub recipients: u32,
    pub producers: u32,
    /// Notifications per second over all producers, offered whether they are answered or not.
    pub rate: u32,
    /// Every so manieth request is a batch,
    pub batch_every: u32,
    /// of this many.
    pub batch: u32,
    /// Most notifications of one producer under way or waiting to be tried again; beyond it none are offered.
    pub under_way: usize,
    /// Recipients that are connected from [`Load::settle`](super::Load::settle) on only.
    pub offline_percent: u32,
    /// Recipients that never come: theirs stay stored.
    pub absent_percent: u32,
    /// Recipients that come and go, on another transport each time.
    pub wandering_percent: u32,
    /// Every so manieth recipient uses the product's client library, the others speak frames.
    pub library_every: u32,
    /// Of a hundred notifications to offline recipients, so many expire within two seconds.
    pub short_lived_percent: u32,
    /// Of a hundred notifications to recipients that can say so, so many are refused for good.
    pub refused_percent: u32,
    /// Longest wait of a client between two attempts to connect.
    pub reconnect_cap: Duration,
    /// Bytes of padding in every notification.
    pub content_bytes: usize,
}

impl Default for Mix {
    fn default() -> Self {
        let scale = Scale::of_this_run();
        Self {
            seed: None,
            recipients: 60,
            producers: 4,
            rate: rate_of_this_run().unwrap_or(100),
            batch_every: 8,
            batch: 10,
            under_way: 200,
            offline_percent: 15,
            absent_percent: 5,
            wandering_percent: 30,
            library_every: 4,
            short_lived_percent: 10,
            refused_percent: 5,
            reconnect_cap: scale.of(Duration::from_secs(1), Duration::from_secs(10)),
            content_bytes: 100,
        }
    }
}

/// `POSTRIDER_FAULTS_RATE`: so that many scenarios can run side by side on a small machine.
fn rate_of_this_run() -> Option<u32> {
    #[expect(clippy::disallowed_methods, reason = "tests are told of their scale by the environment")]
    let given = std::env::var("POSTRIDER_FAULTS_RATE").ok()?;
    Some(given.parse().expect("POSTRIDER_FAULTS_RATE is a number"))
}

/// When a recipient is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Always.
    Steady,
    /// Now and then.
    Wandering,
    /// From the settling on.
    Offline,
    /// Never.
    Absent,
}

impl Mix {
    /// The manner of the `recipient`th. The manners are mixed among the numbers, so that each has every transport.
    pub fn manner(&self, recipient: u32) -> Manner {
        // 37 and 100 have no common divisor: a hundred recipients get a hundred different places.
        let place = recipient * 37 % 100;
        let (offline, absent) = (self.offline_percent, self.offline_percent + self.absent_percent);
        if place < offline {
            Manner::Offline
        } else if place < absent {
            Manner::Absent
        } else if place < absent + self.wandering_percent {
            Manner::Wandering
        } else {
            Manner::Steady
        }
    }

    /// How the `recipient`th listens on its `session`th connection.
    pub fn how(&self, recipient: u32, session: u32) -> How {
        let hops = if self.manner(recipient) == Manner::Wandering { session } else { 0 };
        let transport = Transport::ALL[((recipient + hops) % 3) as usize];
        How {
            transport,
            library: self.library_every > 0 && (recipient / 3).is_multiple_of(self.library_every),
        }
    }

    /// Whether the `recipient`th can refuse: only WebSocket clients have a word for it.
    pub fn can_refuse(&self, recipient: u32) -> bool {
        let how = self.how(recipient, 0);
        self.manner(recipient) == Manner::Steady && how.transport == Transport::WebSocket && !how.library
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manner_has_every_transport_with_and_without_the_library() {
        let mix = Mix::default();
        // Who wanders is on another transport each time.
        let hops = |manner| if manner == Manner::Wandering { 3 } else { 1 };
        let with = |manner: Manner, how: How| {
            let is = |one: u32| (0..hops(manner)).any(|session| mix.how(one, session) == how);
            (0..mix.recipients).filter(|one| mix.manner(*one) == manner && is(*one)).count()
        };
        for manner in [Manner::Steady, Manner::Wandering] {
            for transport in Transport::ALL {
                for library in [true, false] {
                    assert!(
                        with(manner, How { transport, library }) > 0,
                        "{manner:?} {transport:?} {library}"
                    );
                }
            }
        }
        let count = |manner| (0..mix.recipients).filter(|one| mix.manner(*one) == manner).count();
        assert!(count(Manner::Offline) > 3 && count(Manner::Absent) > 0);
        assert!((0..mix.recipients).any(|one| mix.can_refuse(one)));
    }
}
