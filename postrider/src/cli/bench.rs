//! `postrider bench`: measures a pipeline on this machine. What it does is in the crate of that name.

use postrider_bench::Command;

use super::failure::Failure;
use super::print;

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    for line in Box::pin(postrider_bench::main(command)).await? {
        print::line(line)?;
    }
    Ok(())
}
