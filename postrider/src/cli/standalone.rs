//! `postrider standalone`: runs the pipeline until a signal, and says what to paste next.

use std::path::{Path, PathBuf};

use clap::Args;
use shared::process::SettingsFlags;
use shared::shutdown::Shutdown;

use super::failure::{Code, Failure};
use super::print;
use crate::data_dir;
use crate::standalone::{Addresses, Error, Role, Standalone};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where the data is kept; made on the first start
    #[arg(long, value_name = "DIR", default_value = data_dir::DEFAULT)]
    data_dir: PathBuf,
    /// Which roles to run
    #[arg(long, value_delimiter = ',', default_value = "receiver,director,distributor,executor")]
    roles: Vec<Role>,
    /// Write the addresses that are listened at to this file, as JSON, once it is ready
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsFlags,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let sources = arguments.settings.load().map_err(Failure::settings)?;
    let started = Box::pin(Standalone::start_with(&arguments.data_dir, sources, &arguments.roles)).await;
    let mut standalone = started.map_err(|error| match error {
        Error::Settings(error) => Failure::settings(error),
        Error::Failed(error) => Failure::new(Code::Failed, error),
    })?;
    if let Some(path) = &arguments.address_file {
        standalone.write_addresses(path)?;
    }
    let printed = print::line(welcome(&arguments.data_dir, &standalone));
    let failed = match printed {
        // Without anybody to read it, the pipeline is of use all the same.
        Ok(()) | Err(_) => tokio::select! {
            () = shutdown.begun() => None,
            error = standalone.failed() => Some(error),
        },
    };
    print::note("stopping");
    let stopped = Box::pin(standalone.stop()).await;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(stopped?),
    }
}

fn welcome(data_dir: &Path, standalone: &Standalone) -> String {
    let Addresses { receiver, distributor, admin } = standalone.addresses();
    let mut text = format!("Postrider runs, with its data in {}.\n\n", data_dir.display());
    if let Some(address) = receiver {
        text += &format!("  producers  http://{address}\n");
    }
    if let Some(address) = distributor {
        text += &format!("  clients    http://{address}\n");
    }
    text += &format!("  operators  http://{admin}/readyz and /metrics\n");
    if let (Some(receiver), Some(_)) = (receiver, distributor) {
        let program = std::env::args().next().unwrap_or_else(|| "postrider".into());
        let flag = match data_dir {
            default if default == Path::new(data_dir::DEFAULT) => String::new(),
            other => format!(" --data-dir '{}'", other.display()),
        };
        let credentials = standalone.credentials_file();
        text += &format!(
            "\nNext, in two other terminals:\n\n  \
             {program} listen alice{flag}\n  \
             {program} send alice 'hello'{flag}\n\n\
             or, to send without this program:\n\n  \
             curl -d 'hello' http://{receiver}/v1/to/alice \\\n    \
             -H \"Authorization: Bearer $(sed -n 's/^api_key = \"\\(.*\\)\"/\\1/p' '{}')\"\n",
            credentials.display()
        );
    }
    text
}
