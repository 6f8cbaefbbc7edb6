//! How many connections each client address has, and whose address it is behind proxies. An entry lives as long as a
//! connection of its address, so the cap on connections bounds the table.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Connections by address.
#[derive(Debug)]
pub(super) struct Addresses {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Addresses {
    /// At most `most` of one address; zero is no limit.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// Counts one more, until the answer is dropped; `None`: the address has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let of = network(address);
        if self.most > 0 {
            let mut open = self.lock();
            let count = open.get(&of).copied().unwrap_or_default();
            if count >= self.most {
                return None;
            }
            open.insert(of, count + 1);
        }
        Some(Counted { addresses: Arc::clone(self), of })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection of an address.
#[derive(Debug)]
pub(super) struct Counted {
    addresses: Arc<Addresses>,
    of: IpAddr,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.addresses.lock().entry(self.of) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Who counts as one: an IPv4 address, or the /64 of an IPv6 address, all of which one subscriber has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(four) => IpAddr::V4(four),
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & (u128::MAX << 64))),
    }
}

/// The client's address as the outermost of `proxies` trusted proxies saw it: what lies further left in
/// `X-Forwarded-For` the client may have written itself. The peer's where the proxies have not said.
pub(super) fn forwarded(headers: &HeaderMap, proxies: usize, peer: IpAddr) -> IpAddr {
    let entries = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let entries: Vec<&str> = entries.flat_map(|value| value.split(',')).collect();
    let said = entries.len().checked_sub(proxies).and_then(|index| entries.get(index));
    said.and_then(|entry| parse(entry.trim())).unwrap_or(peer)
}

/// An address, or an address with a port, as some proxies write it.
fn parse(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    entry.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_as_many_as_it_may_and_the_table_forgets_who_left() {
        let addresses = Addresses::new(2);
        let (first, second) =
            (addresses.enter(address("192.0.2.1")), addresses.enter(address("::ffff:192.0.2.1")));
        assert!(first.is_some() && second.is_some());
        assert!(addresses.enter(address("192.0.2.1")).is_none());
        let other = addresses.enter(address("192.0.2.2"));
        assert!(other.is_some());
        drop(first);
        assert!(addresses.enter(address("192.0.2.1")).is_some());
        drop((second, other));
        assert!(addresses.lock().is_empty());
    }

    #[test]
    fn a_subscriber_is_one_whatever_its_last_sixty_four_bits_are() {
        let addresses = Addresses::new(1);
        let first = addresses.enter(address("2001:db8::1"));
        assert!(first.is_some() && addresses.enter(address("2001:db8::ffff:1")).is_none());
        assert!(addresses.enter(address("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn a_client_is_whom_the_outermost_trusted_proxy_saw() {
        let peer = address("10.0.0.1");
        let rows: [(&[&str], usize, &str); 8] = [
            (&["192.0.2.7"], 1, "192.0.2.7"),
            (&["203.0.113.9, 192.0.2.7"], 1, "192.0.2.7"),
            (&["203.0.113.9", "192.0.2.7, 10.0.0.2"], 2, "192.0.2.7"),
            (&["192.0.2.7:4711"], 1, "192.0.2.7"),
            (&["[2001:db8::1]:4711"], 1, "2001:db8::1"),
            (&["unknown"], 1, "10.0.0.1"),
            (&["192.0.2.7"], 2, "10.0.0.1"),
            (&[], 1, "10.0.0.1"),
        ];
        for (values, proxies, expected) in rows {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            assert_eq!(forwarded(&headers, proxies, peer), address(expected), "{values:?} {proxies}");
        }
    }
}
