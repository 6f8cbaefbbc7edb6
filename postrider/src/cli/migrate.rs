//! `postrider migrate`.

use clap::Args;

use super::engines::Engines;
use super::failure::Failure;
use super::print;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    engines: Engines,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let version = arguments.engines.store()?.schema.migrate().await.map_err(Failure::engine)?;
    Ok(print::line(format_args!("the schema is current, with {version} migrations"))?)
}
