//! Load on real processes: shutdowns in the middle of durable writes, and floods of resets.
//!
//! Each run compares three accounts of what happened: what the clients saw, what was written, and
//! what the report of the shutdown says.

mod child;
mod http1;
mod orders;
mod report;
mod resets;
mod shutdowns;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What ends this program early, as one line.
type Failure = Box<dyn Error + Send + Sync>;

/// Load on real processes: what the clients saw, what was written and what the report says agree.
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
    /// The service that `resets` is aimed at
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
