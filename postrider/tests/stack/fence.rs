//! A network namespace around one engine, reached over a pair of virtual interfaces: closed, it drops every packet in
//! both directions and says nothing, as a dead switch does. Needs root and nftables; without them the test fails.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use rand::Rng as _;

/// An open fence; dropped, it is removed. Whatever runs inside must have ended.
pub struct Fence {
    name: String,
    outside: String,
    inside: String,
    /// Of the engine inside.
    pub address: IpAddr,
}

impl Fence {
    /// Makes a namespace and a way into it.
    pub fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "dropping packets takes a network namespace, which only root can make: run this test as root"
        );
        let mut random = rand::rng();
        let name = format!("pr{:08x}", random.random::<u32>());
        // Of the range kept for measuring networks: it is routed nowhere.
        let net = [198, random.random_range(18..20), random.random(), random.random::<u8>() & 0b1111_1100];
        let [a, b, c, d] = net;
        let (host, address) = (Ipv4Addr::new(a, b, c, d + 1), Ipv4Addr::new(a, b, c, d + 2));
        let (outside, inside) = (format!("{name}o"), format!("{name}i"));
        run(&["ip", "netns", "add", &name]);
        let fence = Self { name, outside, inside, address: address.into() };
        let Self { name, outside, inside, .. } = &fence;
        run(&["ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name]);
        run(&["ip", "address", "add", &format!("{host}/30"), "dev", outside]);
        run(&["ip", "link", "set", outside, "up"]);
        run(&["ip", "-n", name, "address", "add", &format!("{address}/30"), "dev", inside]);
        run(&["ip", "-n", name, "link", "set", inside, "up"]);
        run(&["ip", "-n", name, "link", "set", "lo", "up"]);
        fence
    }

    /// What to put before a command that is to run inside; the process it starts becomes that command.
    pub fn prefix(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// From now on every packet is dropped, in and out.
    pub fn close(&self) {
        let inside = &self.inside;
        let rules = format!(
            "table inet fence {{\n\
             chain in {{ type filter hook input priority 0; iifname \"{inside}\" drop; }}\n\
             chain out {{ type filter hook output priority 0; oifname \"{inside}\" drop; }}\n}}\n"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, rules).unwrap();
        run(&["ip", "netns", "exec", &self.name, "nft", "-f", file.path().to_str().unwrap()]);
    }

    /// Packets pass again.
    pub fn open(&self) {
        run(&["ip", "netns", "exec", &self.name, "nft", "flush", "ruleset"]);
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        for command in [["ip", "link", "delete", &self.outside], ["ip", "netns", "delete", &self.name]] {
            // What was not made yet needs no removal.
            let _absent = Command::new(command[0]).args(&command[1..]).output();
        }
    }
}

fn run(command: &[&str]) {
    let output = Command::new(command[0])
        .args(&command[1..])
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: run scripts/prerequisites", command[0]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", command.join(" "));
}
