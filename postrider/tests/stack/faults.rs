//! What can be done to a running stack: [`Stack::fault`] and [`Stack::heal`].

use rustix::process::Signal;

use super::Stack;
use super::disk::Disk;
use super::engine::Engine;
use super::fence::Fence;
use super::part::{Fault, Part};
use super::process::Process;
use super::proxy::{Proxy, Weather};

impl Stack {
    /// Hurts a part. Returns once it is hurt. What is dead already stays so.
    pub async fn fault(&mut self, part: Part, fault: Fault) {
        self.producer.addresses.hurt(part);
        match part {
            Part::Receiver(_) | Part::Director(_) | Part::Distributor(_) | Part::Executor(_) => {
                let index = self.index(part);
                hurt_process(part, &mut self.services[index].process, fault).await;
            }
            Part::Kafka | Part::Broker(_) | Part::Redis | Part::Postgres => {
                for engine in self.engines.of(part) {
                    hurt_engine(part, engine, fault).await;
                }
            }
            Part::Link(index) => self.link(index).set(weather(part, fault)),
        }
        self.says(&format!("{part}: {fault:?}"));
    }

    /// Undoes whatever is wrong with a part and waits until it serves.
    pub async fn heal(&mut self, part: Part) {
        match part {
            Part::Receiver(_) | Part::Director(_) | Part::Distributor(_) | Part::Executor(_) => {
                let index = self.index(part);
                let service = &mut self.services[index];
                if let Some(process) = &mut service.process {
                    process.must_live();
                    process.signal(Signal::CONT);
                } else {
                    service.start();
                    service.settled().await;
                    self.list_addresses();
                }
            }
            Part::Kafka | Part::Broker(_) | Part::Redis | Part::Postgres => {
                let mut engines = self.engines.of(part);
                // All of a cluster first: one broker alone may wait for the others.
                engines.iter_mut().for_each(|engine| mend(engine));
                for engine in engines {
                    engine.settled().await;
                    if part == Part::Redis {
                        engine.command("CONFIG SET maxmemory 0").await;
                    }
                }
            }
            Part::Link(index) => self.link(index).set(Weather::Clear),
        }
        self.producer.addresses.healed(part);
        self.says(&format!("{part}: healed"));
    }

    fn link(&self, index: usize) -> &Proxy {
        self.links.get(index).expect("the plan has proxied links and so many distributors")
    }
}

async fn hurt_process(part: Part, slot: &mut Option<Process>, fault: Fault) {
    let Some(process) = slot else { return };
    process.must_live();
    match fault {
        Fault::Frozen => process.signal(Signal::STOP),
        Fault::Killed => {
            process.kill();
            *slot = None;
        }
        Fault::Terminated => {
            let status = process.terminate().await;
            *slot = None;
            assert!(status.success(), "{part} was asked to end and ended with {status}");
        }
        Fault::BlackHoled
        | Fault::Muted
        | Fault::Reset
        | Fault::Slow(_)
        | Fault::DiskFull
        | Fault::Wiped
        | Fault::OutOfMemory
        | Fault::FailedOver => panic!("{part} is a process: it cannot be {fault:?}"),
    }
}

async fn hurt_engine(part: Part, engine: &mut Engine, fault: Fault) {
    match fault {
        Fault::Frozen | Fault::Killed | Fault::Terminated => {
            hurt_process(part, &mut engine.process, fault).await;
        }
        Fault::BlackHoled if engine.fence.is_some() => engine.fence.iter().for_each(Fence::close),
        Fault::BlackHoled | Fault::Muted | Fault::Reset | Fault::Slow(_) => {
            let proxy = engine.proxy.as_ref().unwrap_or_else(|| panic!("{part} is behind no proxy"));
            proxy.set(weather(part, fault));
        }
        Fault::DiskFull => {
            engine.disk.as_ref().unwrap_or_else(|| panic!("{part} is on no small disk")).fill();
        }
        Fault::Wiped => engine.command("FLUSHALL").await,
        Fault::OutOfMemory => {
            engine.command("CONFIG SET maxmemory-policy noeviction").await;
            engine.command("CONFIG SET maxmemory 1").await;
        }
        Fault::FailedOver => {
            // It keeps nothing on disk: the next one is empty, and another by its run id.
            assert_eq!(part, Part::Redis, "only Redis forgets");
            hurt_process(part, &mut engine.process, Fault::Killed).await;
            engine.start();
            engine.settled().await;
        }
    }
}

fn weather(part: Part, fault: Fault) -> Weather {
    match fault {
        Fault::BlackHoled => Weather::BlackHole,
        Fault::Muted => Weather::Mute,
        Fault::Reset => Weather::Reset,
        Fault::Slow(line) => Weather::Slow(line),
        Fault::Killed
        | Fault::Frozen
        | Fault::Terminated
        | Fault::DiskFull
        | Fault::Wiped
        | Fault::OutOfMemory
        | Fault::FailedOver => panic!("{part} is a line: it cannot be {fault:?}"),
    }
}

/// Undoes what was done around an engine and to its process, and starts it if it died, of the fault even.
fn mend(engine: &mut Engine) {
    engine.proxy.iter().for_each(|proxy| proxy.set(Weather::Clear));
    engine.fence.iter().for_each(Fence::open);
    engine.disk.iter().for_each(Disk::free);
    match engine.living() {
        Some(process) => process.signal(Signal::CONT),
        None => engine.start(),
    }
}
