//! Who is sent what and when. Producers' connections each have their own recipients and one request under way, so that
//! the order of a recipient's notifications is known. Requests have their times whether or not an answer is there: what
//! waits behind a slow answer is counted from when it was due. Pure.

use serde::{Deserialize, Serialize};

/// What one producing process sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Begins the name of every recipient.
    pub(crate) run: String,
    /// Recipients of the whole load.
    pub(crate) recipients: u64,
    /// Clients of the whole load, of which the recipients are some, evenly.
    pub(crate) clients: u64,
    /// Connections of all producers together; not more than recipients.
    pub(crate) connections: u64,
    /// This process, and how many there are.
    pub(crate) process: u64,
    pub(crate) processes: u64,
    /// Notifications per request.
    pub(crate) batch: u64,
    /// About how long each content is, in bytes.
    pub(crate) payload: usize,
}

impl Plan {
    /// How many connections this process has.
    pub(crate) const fn own_connections(&self) -> u64 {
        spread(self.connections, self.processes, self.process)
    }

    /// How many recipients `connection` (of this process) sends to.
    const fn recipients_of(&self, connection: u64) -> u64 {
        spread(self.recipients, self.connections, self.global(connection))
    }

    const fn global(&self, connection: u64) -> u64 {
        connection * self.processes + self.process
    }

    /// The `k`th notification of `connection`: to which recipient, and which of theirs it is.
    pub(crate) const fn item(&self, connection: u64, k: u64) -> (u64, u32) {
        let each = self.recipients_of(connection);
        (self.global(connection) + self.connections * (k % each), (k / each) as u32)
    }

    /// Which client `recipient` is.
    pub(crate) const fn client(&self, recipient: u64) -> u64 {
        client(recipient, self.recipients, self.clients)
    }
}

/// Which of so many clients `recipient` is, where recipients are spread evenly among them.
pub(crate) const fn client(recipient: u64, recipients: u64, clients: u64) -> u64 {
    (recipient as u128 * clients as u128 / recipients as u128) as u64
}

/// How much of `total` comes to `index` of `among`, the first getting what does not divide.
pub(crate) const fn spread(total: u64, among: u64, index: u64) -> u64 {
    total / among + (index < total % among) as u64
}

/// When requests are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    from: u64,
    /// Requests per second.
    rate: f64,
    requests: u64,
    next: u64,
}

impl Pace {
    pub(crate) const fn new(from: u64, rate: f64, requests: u64) -> Self {
        Self { from, rate, requests, next: 0 }
    }

    /// When the next request is due; `None` when there is none.
    pub(crate) fn due(&self) -> Option<u64> {
        let behind = (self.next as f64 * 1e6 / self.rate) as u64;
        (self.next < self.requests).then_some(self.from + behind)
    }

    /// Takes the next request if it is due at `now`: its number and when it was due.
    pub(crate) fn take(&mut self, now: u64) -> Option<(u64, u64)> {
        let due = self.due().filter(|due| *due <= now)?;
        let number = self.next;
        self.next += 1;
        Some((number, due))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn plan(recipients: u64, connections: u64, process: u64, processes: u64) -> Plan {
        let run = "r".to_owned();
        Plan {
            run,
            recipients,
            clients: recipients * 3,
            connections,
            process,
            processes,
            batch: 1,
            payload: 100,
        }
    }

    proptest! {
        #[test]
        fn every_recipient_is_one_connections_and_counted_without_a_gap(
            recipients in 1_u64..60, connections in 1_u64..20, processes in 1_u64..4, rounds in 1_u64..4,
        ) {
            let connections = connections.min(recipients);
            let processes = processes.min(connections);
            let mut got: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            for process in 0..processes {
                let plan = plan(recipients, connections, process, processes);
                for connection in 0..plan.own_connections() {
                    for k in 0..plan.recipients_of(connection) * rounds {
                        let (recipient, n) = plan.item(connection, k);
                        got.entry(recipient).or_default().push(n);
                    }
                }
            }
            prop_assert_eq!(got.keys().copied().collect::<Vec<_>>(), (0..recipients).collect::<Vec<_>>());
            for numbers in got.values() {
                prop_assert_eq!(numbers, &(0..rounds as u32).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn recipients_are_different_clients() {
        let clients: BTreeSet<u64> = (0..7).map(|recipient| client(recipient, 7, 100)).collect();
        assert_eq!(clients.len(), 7);
        assert!(clients.iter().all(|client| *client < 100));
        assert_eq!(client(999_999, 1_000_000, 1_000_000), 999_999);
    }

    #[test]
    fn requests_are_due_at_their_times_however_late_one_looks() {
        let mut pace = Pace::new(1_000_000, 1000.0, 4);
        assert_eq!(pace.take(999_999), None);
        assert_eq!(pace.take(1_000_000), Some((0, 1_000_000)));
        assert_eq!(pace.take(1_000_999), None);
        assert_eq!(pace.due(), Some(1_001_000));
        // Three are owed: each keeps the time that it was due at.
        let owed: Vec<_> = std::iter::from_fn(|| pace.take(9_000_000)).collect();
        assert_eq!(owed, [(1, 1_001_000), (2, 1_002_000), (3, 1_003_000)]);
        assert_eq!(pace.due(), None);
    }
}
