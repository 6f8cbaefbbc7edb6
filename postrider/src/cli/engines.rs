//! The engines behind the administrative commands: the distributed ones of the settings, or, with `--data-dir`, the
//! embedded ones.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use shared::clock::SystemClock;
use shared::config::{KafkaSettings, LogSettings, PostgresSettings, Sources, StoreSettings};
use shared::log::{self, Provision};
use shared::process::SettingsFlags;
use shared::store::{self, ApiKeys, DeadReview, Migrate};

use super::failure::Failure;
use crate::data_dir::DataDir;

/// Which engines.
#[derive(Args, Clone, Debug)]
pub(super) struct Engines {
    /// Use the data of `postrider standalone` in this directory instead of the engines of the settings
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: SettingsFlags,
}

/// A store, by the ports that commands use.
pub(super) struct Store {
    pub(super) keys: Arc<dyn ApiKeys>,
    pub(super) schema: Arc<dyn Migrate>,
    pub(super) dead_letters: Arc<dyn DeadReview>,
}

impl Engines {
    pub(super) fn sources(&self) -> Result<Sources, Failure> {
        self.settings.load().map_err(Failure::settings)
    }

    pub(super) fn store(&self) -> Result<Store, Failure> {
        let mut sources = self.sources()?;
        let (settings, postgres): (StoreSettings, PostgresSettings) = (sources.section(), sources.section());
        sources.finish().map_err(Failure::settings)?;
        match self.existing()? {
            Some(dir) => {
                let store =
                    store::sqlite::Store::open(dir.store_file(), &settings).map_err(Failure::engine)?;
                Ok(Store { keys: store.clone(), schema: store.clone(), dead_letters: store })
            }
            None => {
                let store = store::postgres::Store::connect(&postgres, &settings).map_err(Failure::engine)?;
                Ok(Store { keys: store.clone(), schema: store.clone(), dead_letters: store })
            }
        }
    }

    pub(super) async fn log(&self) -> Result<Arc<dyn Provision>, Failure> {
        let mut sources = self.sources()?;
        let (settings, kafka): (LogSettings, KafkaSettings) = (sources.section(), sources.section());
        sources.finish().map_err(Failure::settings)?;
        Ok(match self.existing()? {
            Some(dir) => {
                let clock = Arc::new(SystemClock);
                log::sqlite::Log::open(&dir.log_file(), &settings, clock).await.map_err(Failure::engine)?
            }
            None => Arc::new(log::kafka::Admin::new(&settings, &kafka).map_err(Failure::engine)?),
        })
    }

    /// Finds the topics of the engine, without making any.
    pub(super) async fn find_topics(&self) -> Result<(), Failure> {
        let mut sources = self.sources()?;
        let (settings, kafka): (LogSettings, KafkaSettings) = (sources.section(), sources.section());
        match self.data_dir {
            // The embedded log makes its own when it is opened.
            Some(_) => self.log().await.map(drop),
            None => log::kafka::Log::connect(&settings, &kafka).await.map(drop).map_err(Failure::engine),
        }
    }

    /// The data directory, which must be one: a slip of the pen makes no new store.
    fn existing(&self) -> Result<Option<DataDir>, Failure> {
        match &self.data_dir {
            None => Ok(None),
            Some(path) if DataDir::at(path).store_file().is_file() => Ok(Some(DataDir::at(path))),
            Some(path) => Err(Failure::usage(format_args!(
                "{} is no data directory of `postrider standalone`",
                path.display()
            ))),
        }
    }
}
