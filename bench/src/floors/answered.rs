//! A POST to a server of hyper alone, in a process of its own, sent by the same client as the load.

use std::time::Duration;

use anyhow::Context as _;

use crate::control::{Order, Phase, Produce, Report, Setup, Tick};
use crate::fleet::Fleet;
use crate::histogram::Latencies;
use crate::os;
use crate::result::Better::{Higher, Lower};
use crate::result::Outcome;
use crate::schedule::Plan;

pub(super) async fn measure(lasts: Duration, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut fleet = Fleet::new(std::env::current_exe()?);
    fleet.start("server", &Setup::Answer).await?;
    let (_, ready) = fleet.next().await?;
    let Report::Ready(Some(server)) = ready else { anyhow::bail!("the server did not start") };
    let plan = Plan {
        run: "floor".into(),
        recipients: 1000,
        clients: 1000,
        connections: 64,
        process: 0,
        processes: 1,
        batch: 1,
        payload: 128,
    };
    let setup = Setup::Produce(Produce { receivers: vec![server], api_key: "none".into(), plan });
    let generator = fleet.start("generator", &setup).await?;
    let mut latencies = Latencies::new()?;
    phase(&mut fleet, generator, Duration::from_secs(1), &mut latencies).await?;
    let mut latencies = Latencies::new()?;
    let before = os::cpu_seconds(&fleet.processes())?;
    let answered = phase(&mut fleet, generator, lasts, &mut latencies).await?;
    let after = os::cpu_seconds(&fleet.processes())?;
    for name in ["server", "generator"] {
        let used =
            after.get(name).context("no such process")? - before.get(name).context("no such process")?;
        let each = used * 1e6 / answered.max(1) as f64;
        outcome.figure(format!("floor.http_{name}_us"), each, "µs", Lower);
    }
    let per_second = answered as f64 / lasts.as_secs_f64();
    outcome.figure("floor.http_per_second", per_second, "1/s", Higher);
    outcome.figure("floor.http_p99_ms", latencies.quantile_ms(0.99), "ms", Lower);
    Ok(())
}

/// Sends for so long; how many were answered.
async fn phase(
    fleet: &mut Fleet,
    generator: usize,
    lasts: Duration,
    latencies: &mut Latencies,
) -> anyhow::Result<u64> {
    let from = crate::clock::micros();
    let until = from + u64::try_from(lasts.as_micros())?;
    fleet.order(generator, &Order::Send(Phase { from, until, requests: u64::MAX, rate: 0.0 })).await?;
    let mut answered = 0;
    loop {
        match fleet.next().await?.1 {
            Report::Tick(tick) => {
                let Tick { accepted, refused, unanswered, latencies: counts, .. } = *tick;
                anyhow::ensure!(refused + unanswered == 0, "the server did not answer everything");
                answered += accepted;
                latencies.add(&counts);
            }
            Report::Sent => return Ok(answered),
            _ready => {}
        }
    }
}
