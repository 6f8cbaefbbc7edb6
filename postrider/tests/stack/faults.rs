//! What can be done to a running stack: [`Stack::fault`] and [`Stack::heal`].

use rustix::process::Signal;

use super::Stack;
use super::part::{Fault, Part};
use super::process::Process;

impl Stack {
    /// Hurts a part, or does nothing to one that is dead already. Returns once the part is hurt.
    pub async fn fault(&mut self, part: Part, fault: Fault) {
        eprintln!("{part}: {fault:?}");
        self.producer.addresses.hurt(part);
        match part {
            Part::Receiver(_) | Part::Director(_) | Part::Distributor(_) | Part::Executor(_) => {
                let index = self.index(part);
                hurt(part, &mut self.services[index].process, fault).await;
            }
            Part::Kafka | Part::Broker(_) | Part::Redis | Part::Postgres => {
                for engine in self.engines.of(part) {
                    hurt(part, &mut engine.process, fault).await;
                }
            }
        }
    }

    /// Undoes whatever is wrong with a part and waits until it serves.
    pub async fn heal(&mut self, part: Part) {
        eprintln!("{part}: healed");
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
                let engines = self.engines.of(part);
                let mut healed = Vec::new();
                for engine in engines {
                    // An engine may have died of its fault, as some do of a full disk.
                    match engine.living() {
                        Some(process) => process.signal(Signal::CONT),
                        None => engine.start(),
                    }
                    healed.push(engine);
                }
                for engine in healed {
                    engine.settled().await;
                }
            }
        }
        self.producer.addresses.healed(part);
    }
}

async fn hurt(part: Part, slot: &mut Option<Process>, fault: Fault) {
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
    }
}
