//! How long a fault lasts: seconds for every build, ten minutes in the long suite. The same code runs either way.

use std::time::Duration;

/// The scale of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Seconds.
    Short,
    /// Ten minutes: `POSTRIDER_FAULTS=long`.
    Long,
}

impl Scale {
    /// What `POSTRIDER_FAULTS` says: `long`, or nothing.
    pub fn of_this_run() -> Self {
        #[expect(clippy::disallowed_methods, reason = "tests are told of their scale by the environment")]
        match std::env::var("POSTRIDER_FAULTS").as_deref() {
            Ok("long") => Self::Long,
            Ok("" | "short") | Err(_) => Self::Short,
            Ok(other) => panic!("POSTRIDER_FAULTS={other}: it may be short or long"),
        }
    }

    /// How long a part is away.
    pub fn outage_duration(self) -> Duration {
        self.of(Duration::from_secs(4), Duration::from_secs(600))
    }

    /// `short` or `long`.
    pub fn of<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }

    /// Lets an outage last. The wait is the scenario; nothing is awaited by it.
    pub async fn outage(self) {
        tokio::time::sleep(self.outage_duration()).await;
    }
}

/// The seed of this run, printed: `POSTRIDER_SEED`, or a random one.
pub fn seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a seed is repeated by the environment")]
    let given = std::env::var("POSTRIDER_SEED").ok();
    let seed = given.map_or_else(rand::random, |text| text.parse().expect("POSTRIDER_SEED is a number"));
    eprintln!("POSTRIDER_SEED={seed}");
    seed
}
