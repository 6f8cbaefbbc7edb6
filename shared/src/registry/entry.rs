//! What the registry holds for one recipient, and how each operation changes it. Pure. The map in the process keeps
//! entries as they are; Redis keeps them packed and changes them by scripts that mirror this file.

use smallvec::SmallVec;

use super::{Flag, MAX_ROUTES_PER_RECIPIENT, Route};
use crate::delivery::{NodeId, SessionId};

/// Routes, oldest first, and the backlog flag of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) flag: Flag,
    pub(super) version: u64,
    pub(super) routes: Vec<Route>,
}

impl Default for Entry {
    fn default() -> Self {
        Self { flag: Flag::Unknown, version: 0, routes: Vec::new() }
    }
}

/// Bytes of a route when packed: session, then node, big-endian.
pub(super) const ROUTE_BYTES: usize = 16;

impl Entry {
    /// Whether nothing is left worth keeping.
    pub(super) fn is_void(&self) -> bool {
        self.flag == Flag::Unknown && self.routes.is_empty()
    }

    /// Enters `route`; when there is no room, the first of a node that is not `leased`, else the oldest, gives way.
    pub(super) fn enter(&mut self, route: Route, leased: impl Fn(NodeId) -> bool) {
        if let Some(same) = self.routes.iter_mut().find(|other| other.session == route.session) {
            *same = route;
            return;
        }
        if self.routes.len() >= MAX_ROUTES_PER_RECIPIENT {
            let out = self.routes.iter().position(|other| !leased(other.node)).unwrap_or(0);
            self.routes.remove(out);
        }
        self.routes.push(route);
    }

    /// Removes exactly `route`.
    pub(super) fn leave(&mut self, route: Route) {
        self.routes.retain(|other| *other != route);
    }

    /// Flags a backlog up to `upto`.
    pub(super) fn mark(&mut self, upto: u64) {
        self.flag = Flag::Backlog;
        self.version = self.version.max(upto);
    }

    /// Flags clean if the version is still `version`; zero stands for no flag.
    pub(super) fn clear(&mut self, version: u64) -> bool {
        let unchanged = match self.flag {
            Flag::Unknown => version == 0,
            Flag::Clean => self.version == version,
            Flag::Backlog => self.version == version && version != 0,
        };
        if unchanged {
            self.flag = Flag::Clean;
        }
        unchanged
    }

    /// Reads the packed form: a byte for the flag (0 unknown, 1 clean, 2 backlog) and, times four, the length of the
    /// version; the version; then the routes. `None` for what no version of ours wrote.
    pub(super) fn unpack(packed: &[u8]) -> Option<Self> {
        let (head, rest) = packed.split_first()?;
        let (version, mut rest) = rest.split_at_checked(usize::from(head >> 2))?;
        let flag = match head & 3 {
            0 if version.is_empty() => Flag::Unknown,
            1 => Flag::Clean,
            2 => Flag::Backlog,
            _ => return None,
        };
        if version.len() > 8 || version.first() == Some(&0) {
            return None;
        }
        let version = version.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let mut routes = Vec::with_capacity(rest.len() / ROUTE_BYTES);
        while !rest.is_empty() {
            let (session, node) = (take_u64(&mut rest)?, take_u64(&mut rest)?);
            routes.push(Route { session: SessionId(session), node: NodeId(node) });
        }
        Some(Self { flag, version, routes })
    }
}

/// The packed form of a version: big-endian, without leading zeros.
pub(super) fn pack_version(version: u64) -> impl AsRef<[u8]> {
    let bytes = version.to_be_bytes();
    SmallVec::<[u8; 8]>::from_slice(&bytes[version.leading_zeros() as usize / 8..])
}

/// The packed form of a route.
pub(super) fn pack_route(route: Route) -> [u8; ROUTE_BYTES] {
    (u128::from(route.session.0) << 64 | u128::from(route.node.0)).to_be_bytes()
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(session: u64, node: u64) -> Route {
        Route { session: SessionId(session), node: NodeId(node) }
    }

    #[test]
    fn a_full_entry_gives_up_a_route_without_lease_before_the_oldest() {
        let mut entry = Entry::default();
        for session in 0..16 {
            entry.enter(route(session, session), |_| true);
        }
        entry.enter(route(16, 16), |node| node != NodeId(5));
        assert!(!entry.routes.contains(&route(5, 5)));
        entry.enter(route(17, 17), |_| true);
        assert!(!entry.routes.contains(&route(0, 0)));
        assert_eq!(entry.routes.len(), MAX_ROUTES_PER_RECIPIENT);
    }

    #[test]
    fn a_backlog_marked_at_zero_is_not_taken_for_no_entry() {
        let mut entry = Entry::default();
        entry.mark(0);
        assert!(!entry.clear(0));
    }

    #[test]
    fn foreign_bytes_are_not_an_entry() {
        assert_eq!(Entry::unpack(&[]), None);
        assert_eq!(Entry::unpack(&[3]), None, "no flag");
        assert_eq!(Entry::unpack(&[1 + 4 * 3, 1, 0]), None, "a version cut short");
        assert_eq!(Entry::unpack(&[1 + 4, 0]), None, "a version with a leading zero");
        assert_eq!(Entry::unpack(&[4, 1]), None, "a version of no flag");
        assert_eq!(Entry::unpack(&[0, 1]), None, "a route cut short");
        assert_eq!(Entry::unpack(&[1 + 4 * 9, 1, 1, 1, 1, 1, 1, 1, 1, 1]), None, "a version too long");
        for version in [0, 1, 255, 256, u64::MAX] {
            let packed = pack_version(version);
            let head = 2 + 4 * u8::try_from(packed.as_ref().len()).unwrap();
            let read = Entry::unpack(&[&[head], packed.as_ref()].concat()).map(|entry| entry.version);
            assert_eq!(read, Some(version));
        }
        let mut packed = vec![0];
        packed.extend(pack_route(route(1, u64::MAX)));
        assert_eq!(Entry::unpack(&packed).map(|entry| entry.routes), Some(vec![route(1, u64::MAX)]));
    }
}
