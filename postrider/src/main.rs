//! The `postrider` command.

use std::process::ExitCode;

// Sixty allocations and more are made and given back for a notification, on other threads than they were made on: glibc's
// own takes a quarter of the processor for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    postrider::cli::main()
}
