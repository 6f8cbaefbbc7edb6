//! Which addresses are everybody's. Everything else could be something inside that trusts whoever reaches it: the machine
//! itself, its network, the metadata service of its cloud.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// IPv4 blocks that are not globally reachable (IANA IPv4 Special-Purpose Address Registry), multicast, and the address
/// at which Azure answers about the machine, which is in nobody's block.
const CLOSED_V4: [(Ipv4Addr, u8); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
];

/// What is global unicast today (RFC 4291, section 2.4); loopback, link-local, unique-local, site-local and multicast
/// addresses are outside.
const OPEN_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks inside of it that are not: protocol assignments with Teredo, documentation, 6to4, which carries an IPv4 address.
const CLOSED_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// IPv4 behind a translator (RFC 6052): judged by the IPv4 address it carries.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

const LINK_LOCAL_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(169, 254, 0, 0), 16);
const LINK_LOCAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// Whether a guest may connect to `address`: it is everybody's, or in one of `networks`. Link-local addresses, where
/// clouds put their metadata services, are never reached.
pub(super) fn may_reach(address: IpAddr, networks: &[Network]) -> bool {
    let address = plain(address);
    let link_local = match address {
        IpAddr::V4(v4) => within_v4(v4, LINK_LOCAL_V4),
        IpAddr::V6(v6) => within_v6(v6, LINK_LOCAL_V6),
    };
    let open = match address {
        IpAddr::V4(v4) => !CLOSED_V4.iter().any(|block| within_v4(v4, *block)),
        IpAddr::V6(v6) => within_v6(v6, OPEN_V6) && !CLOSED_V6.iter().any(|block| within_v6(v6, *block)),
    };
    !link_local && (open || networks.iter().any(|network| network.holds(address)))
}

/// The IPv4 address that an IPv6 address only carries, or the address itself.
fn plain(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if within_v6(v6, NAT64) => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        canonical => canonical,
    }
}

fn within_v4(address: Ipv4Addr, (start, bits): (Ipv4Addr, u8)) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    address.to_bits() & mask == start.to_bits() & mask
}

fn within_v6(address: Ipv6Addr, (start, bits): (Ipv6Addr, u8)) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    address.to_bits() & mask == start.to_bits() & mask
}

/// A block of addresses, written `10.1.0.0/16` or `fd00:1::/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    start: IpAddr,
    bits: u8,
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        match (self.start, address) {
            (IpAddr::V4(start), IpAddr::V4(address)) => within_v4(address, (start, self.bits)),
            (IpAddr::V6(start), IpAddr::V6(address)) => within_v6(address, (start, self.bits)),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The text is no block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an address, a slash and a number of bits")]
pub struct InvalidNetwork;

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (start, bits) = text.split_once('/').ok_or(InvalidNetwork)?;
        let start: IpAddr = start.parse().map_err(|_grammar| InvalidNetwork)?;
        let bits: u8 = bits.parse().map_err(|_grammar| InvalidNetwork)?;
        if bits > if start.is_ipv4() { 32 } else { 128 } {
            return Err(InvalidNetwork);
        }
        Ok(Self { start, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.bits)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(address: &str, networks: &[&str]) -> bool {
        let networks: Vec<Network> = networks.iter().map(|network| network.parse().unwrap()).collect();
        may_reach(address.parse().unwrap(), &networks)
    }

    #[test]
    fn what_is_everybodys_is_reached() {
        for address in
            ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::1.1.1.1"]
        {
            assert!(reached(address, &[]), "{address}");
        }
    }

    #[test]
    fn what_is_somebodys_is_not() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
        ] {
            assert!(!reached(address, &[]), "{address}");
        }
    }

    #[test]
    fn a_network_opens_what_it_holds_and_never_the_link() {
        assert!(reached("10.1.2.3", &["10.1.0.0/16"]));
        assert!(reached("::ffff:10.1.2.3", &["10.1.0.0/16"]));
        assert!(!reached("10.2.0.1", &["10.1.0.0/16"]));
        assert!(reached("fd00::7", &["fd00::/8"]));
        for everything in [&["0.0.0.0/0", "::/0"]] {
            for link in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1"] {
                assert!(!reached(link, everything), "{link}");
            }
            assert!(reached("127.0.0.1", everything));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "ten/8", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text}");
        }
    }
}
