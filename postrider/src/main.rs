//! The `postrider` command.

use std::process::ExitCode;

shared::allocator!();

fn main() -> ExitCode {
    postrider::cli::main()
}
