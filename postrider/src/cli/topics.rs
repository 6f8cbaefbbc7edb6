//! `postrider topics`.

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
    for state in arguments.engines.log().await?.ensure().await.map_err(Failure::engine)? {
        let made = if state.created { "made" } else { "was there" };
        print::line(format_args!("{}: {} partitions, {made}", state.name, state.partitions))?;
        for fault in &state.faults {
            print::line(format_args!("{}: warning: {fault}", state.name))?;
        }
    }
    Ok(())
}
