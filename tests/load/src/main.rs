//! Load on real processes: shutdowns within durable writes, and floods of resets.
//!
//! Each run compares three accounts: the responses that the clients saw, the rows that were
//! written, and the report of the shutdown.

mod child;
mod http1;
mod orders;
mod report;
mod resets;
mod shutdowns;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An error that ends this program, as one line.
type Failure = Box<dyn Error + Send + Sync>;

/// Load on real processes: the clients' responses, the written rows and the report agree
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// SIGTERM to the order service under 200 clients that hang up at random
    Shutdowns(shutdowns::Settings),
    /// Rapid HTTP/2 resets on a durable route
    Resets(resets::Settings),
    /// The service that `resets` attacks
    #[command(hide = true)]
    ResetTarget(resets::TargetSettings),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Shutdowns(settings) => shutdowns::run(&settings).await,
        Command::Resets(settings) => resets::run(&settings).await,
        Command::ResetTarget(settings) => resets::target(&settings).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("followthrough-load: {error}");
            ExitCode::from(2)
        }
    }
}
