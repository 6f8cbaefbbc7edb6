//! The executor as a service: starts, is ready, stops. Called by `main.rs` and by `postrider standalone`.

use shared::admin::{Readiness, Ready};
use shared::shutdown::Shutdown;

use crate::config::Config;
use crate::error::Error;

/// What the executor uses: nothing yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {}

/// A running executor.
#[derive(Debug)]
pub struct Service {
    readiness: Readiness,
}

impl Service {
    /// Takes its place. It has no client-facing listener.
    ///
    /// # Errors
    /// None today.
    pub async fn bind(_config: Config, _ports: Ports) -> Result<Self, Error> {
        Ok(Self { readiness: Readiness::of(&["executor"]) })
    }

    /// Ready while it runs.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Runs until `shutdown`. There is nothing to drain.
    ///
    /// # Errors
    /// None today.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        self.readiness.set("executor", Ready::Yes);
        tracing::info!("the executor runs no task yet; task records become dead letters");
        shutdown.begun().await;
        self.readiness.set("executor", Ready::No);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_ready_while_it_runs_and_stops_when_asked() {
        let service = Service::bind(Config::default(), Ports::default()).await.unwrap();
        let (readiness, shutdown) = (service.readiness(), Shutdown::new());
        assert_eq!(readiness.missing(), ["executor"]);
        let running = tokio::spawn(service.run(shutdown.clone()));
        let ready = async {
            while !readiness.missing().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), ready).await.unwrap();
        shutdown.begin();
        running.await.unwrap().unwrap();
        assert_eq!(readiness.missing(), ["executor"]);
    }
}
