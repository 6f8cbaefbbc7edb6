//! The load of `scripts/smoke`, which starts a pipeline, runs this against it and stops it. `deliver` measures
//! notifications per second from accepted to acknowledged; `idle` measures the memory of idle WebSockets. Loopback only,
//! bounded in count and time; each run prints one line of JSON with its figures.
//!
//! Reading order: [`deliver`] with [`producers`] and [`clients`]; [`idle`]; [`process`], what a process uses;
//! [`target`], where the pipeline is.

mod clients;
mod deliver;
mod idle;
mod process;
mod producers;
mod target;

use clap::Parser;
use serde_json::{Map, Value};

/// Load for a pipeline on this machine; `scripts/smoke` starts one
#[derive(Parser, Debug)]
struct Arguments {
    /// Added to the figures as it is
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, global = true)]
    labels: Vec<(String, String)>,
    #[command(subcommand)]
    measure: Measure,
}

#[derive(clap::Subcommand, Debug)]
enum Measure {
    /// Notifications per second, accepted to acknowledged
    Deliver(deliver::Options),
    /// Memory per idle, authenticated, registered WebSocket
    Idle(idle::Options),
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The HTTP client wants one chosen even where nothing is encrypted; a choice that was made before stands.
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    let mut figures: Map<String, Value> =
        arguments.labels.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    figures.insert("load_before".into(), process::load_average()?.into());
    let (measured, sound) = match &arguments.measure {
        Measure::Deliver(options) => Box::pin(deliver::run(options)).await?,
        Measure::Idle(options) => (Box::pin(idle::run(options)).await?, true),
    };
    figures.extend(measured);
    print(&Value::Object(figures));
    anyhow::ensure!(
        sound,
        "a notification was refused, is missing, came out of order, or a connection ended"
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn print(figures: &Value) {
    println!("{figures}");
}
