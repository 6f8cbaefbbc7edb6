//! What the store costs beside Postgres alone: rows that the adapter archives beside the same rows in a raw COPY, pages that
//! it reads beside the same pages in a raw SELECT. Costs are processor time by the operating system's accounting, of this
//! process and of every process of the server; rates are of this machine and context only.
//!
//! ```text
//! engines=$(scripts/engines start) && . "$engines/env"
//! cargo run --release --workspace --example store -- archive --rows 100000 --batch 2000
//! cargo run --release --workspace --example store -- pages --rows 100000 --page 128 --sessions 8
//! scripts/engines stop "$engines"
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement fails by panicking and says what it found"
)]

mod archive;
mod cost;
mod database;
mod pages;
mod raw;
mod sample;

use clap::{Parser, Subcommand};

use self::database::Database;

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server.
    #[arg(long, env = "POSTRIDER_TEST_POSTGRES_URL")]
    url: String,
    /// How often everything is measured, the sides taking turns.
    #[arg(long, default_value_t = 3)]
    repeat: u32,
    #[command(flatten)]
    sample: sample::Sample,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Rows into the store.
    Archive {
        /// Rows in a transaction.
        #[arg(long, default_value_t = 2000)]
        batch: usize,
    },
    /// Rows out of it.
    Pages {
        /// Rows that a session asks for at a time.
        #[arg(long, default_value_t = 128)]
        page: u32,
        /// Sessions read for in one call.
        #[arg(long, default_value_t = 8)]
        sessions: usize,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    for _ in 0..arguments.repeat {
        match arguments.what {
            What::Archive { batch } => archive::compare(&arguments, batch).await,
            What::Pages { page, sessions } => pages::compare(&arguments, page, sessions).await,
        }
    }
}

impl Arguments {
    async fn database(&self) -> Database {
        Database::create(&self.url).await
    }
}
