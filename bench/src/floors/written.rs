//! One frame of 128 bytes to one connection after the other, one `write` each.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::time::ClockId;
use shared::descriptors::Descriptors;

use super::cpu_micros;
use crate::control::Setup;
use crate::fleet::Fleet;
use crate::result::Better::{Higher, Lower};
use crate::result::Outcome;

const FRAME: [u8; 128] = [b'x'; 128];

pub(super) async fn measure(sockets: usize, lasts: Duration, outcome: &mut Outcome) -> anyhow::Result<()> {
    let descriptors = Descriptors::provide(sockets);
    anyhow::ensure!(descriptors.suffice(), "{descriptors}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let server = listener.local_addr()?;
    let mut fleet = Fleet::new(std::env::current_exe()?);
    let from = IpAddr::V4(Ipv4Addr::new(127, 1, 2, 1));
    fleet.start("reader", &Setup::Drain { server, connections: sockets, from }).await?;
    let accepted = tokio::task::spawn_blocking(move || accept(&listener, sockets));
    let streams = tokio::time::timeout(Duration::from_secs(60), accepted).await???;
    let (cpu, per_second) = tokio::task::spawn_blocking(move || write(&streams, lasts)).await??;
    outcome.figure(format!("floor.write_us_at_{sockets}"), cpu, "µs", Lower);
    outcome.figure(format!("floor.writes_per_second_at_{sockets}"), per_second, "1/s", Higher);
    Ok(())
}

fn accept(listener: &TcpListener, sockets: usize) -> std::io::Result<Vec<TcpStream>> {
    (0..sockets)
        .map(|_| {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
        .collect()
}

/// Processor microseconds of each write, the kernel's included, and writes per second.
fn write(streams: &[TcpStream], lasts: Duration) -> std::io::Result<(f64, f64)> {
    let (mut writes, mut used, mut began) = (0_u64, 0.0, Instant::now());
    // The first round warms caches and does not count.
    for round in 0_u64.. {
        if round == 1 {
            (used, began) = (cpu_micros(ClockId::ThreadCPUTime), Instant::now());
        }
        for mut stream in streams {
            stream.write_all(&FRAME)?;
        }
        if round > 0 {
            writes += streams.len() as u64;
            if began.elapsed() >= lasts {
                break;
            }
        }
    }
    let cpu = cpu_micros(ClockId::ThreadCPUTime) - used;
    Ok((cpu / writes as f64, writes as f64 / began.elapsed().as_secs_f64()))
}
