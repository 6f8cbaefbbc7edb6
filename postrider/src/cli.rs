//! The command line: one file per command under `cli/`. Exit codes: 0 done, 1 failed, 2 wrong usage or settings,
//! 3 something cannot be reached, 4 refused.

mod bench;
mod binding;
mod capacity;
pub(crate) mod config;
mod credentials;
mod dead_letters;
mod desk;
mod doctor;
mod engines;
mod failure;
mod key;
mod listen;
mod migrate;
mod module;
mod pages;
mod print;
mod receiver;
mod schedule;
mod send;
mod standalone;
mod task;
mod task_local;
mod token;
mod topics;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Delivers notifications: to whoever is connected, at once; to everybody else, the moment they come back.
#[derive(Parser, Debug)]
#[command(name = "postrider", version, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 something cannot be reached, 4 refused.";

#[derive(Subcommand, Debug)]
enum Command {
    /// Run everything in one process, with nothing else to install
    Standalone(standalone::Arguments),
    /// Send a notification
    Send(send::Arguments),
    /// Show a recipient's notifications as they come, and acknowledge them
    Listen(listen::Arguments),
    /// What can never be delivered: look, requeue, discard
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Tasks: have modules run, look, cancel, try again
    #[command(subcommand)]
    Task(task::Command),
    /// Modules that tasks are run by, and their aliases
    #[command(subcommand)]
    Module(module::Command),
    /// Tasks at their times
    #[command(subcommand)]
    Schedule(schedule::Command),
    /// Which notifications are enriched by which module
    #[command(subcommand)]
    Binding(binding::Command),
    /// Producers' API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Clients' tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Bring the store's schema up to date
    Migrate(migrate::Arguments),
    /// Make the topics that are missing, and list them
    Topics(topics::Arguments),
    /// Look at the settings
    #[command(subcommand)]
    Config(config::Command),
    /// What an installation of a given size needs
    Capacity(capacity::Arguments),
    /// Check settings, engines, schema, topics and ports
    Doctor(doctor::Arguments),
    /// Measure a pipeline on this machine: load with a ledger, idle connections, floors, reports
    #[command(subcommand)]
    Bench(postrider_bench::Command),
}

/// Runs the command line of this process, to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report(),
    };
    let result = runtime.block_on(Box::pin(run(command)));
    // What still blocks (a driver's thread in a call) may not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(5));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Standalone(arguments) => standalone::run(arguments).await,
        Command::Send(arguments) => send::run(arguments).await,
        Command::Listen(arguments) => listen::run(arguments).await,
        Command::DeadLetters(command) => dead_letters::run(command).await,
        Command::Task(command) => task::run(command).await,
        Command::Module(command) => module::run(command).await,
        Command::Schedule(command) => schedule::run(command).await,
        Command::Binding(command) => binding::run(command).await,
        Command::Key(command) => key::run(command).await,
        Command::Token(command) => token::run(command),
        Command::Migrate(arguments) => migrate::run(arguments).await,
        Command::Topics(arguments) => topics::run(arguments).await,
        Command::Config(command) => config::run(command),
        Command::Capacity(arguments) => capacity::run(&arguments),
        Command::Doctor(arguments) => doctor::run(arguments).await,
        Command::Bench(command) => bench::run(command).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_hang_together() {
        CommandLine::command().debug_assert();
    }
}
