//! Kills relays, takes the broker away, and measures relays beside a bare loop.
//!
//! ```text
//! cargo run -p followthrough-outbox-proofs -- kills              # 100 times between publish and mark
//! cargo run -p followthrough-outbox-proofs -- outage             # a broker that is down, slow and full, 60 s each
//! cargo run --release -p followthrough-outbox-proofs -- relays   # 8 relays, 50,000 rows, 800 keys
//! ```
//!
//! Each command prints a table, and fails if a message is missing or if the first arrivals of a key are out of order. A
//! run that proves nothing fails as well.

mod arrivals;
mod database;
mod kills;
mod outage;
mod relays;
mod stream;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Succeeds without `PostgreSQL` or NATS if they cannot be installed.
    #[arg(long, global = true)]
    skip_missing: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Publishes the messages of this database, until the process is killed.
    #[command(hide = true)]
    Relay { database: String, broker: String, name: String },
    /// Serves orders and publishes their messages, until the process is killed.
    #[command(hide = true)]
    Serve { database: String, broker: String },
    /// Kills relays between publish and mark.
    Kills {
        /// Kills that came between publish and mark.
        #[arg(long, default_value_t = 100)]
        times: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Takes the broker away from a service under a constant load.
    Outage(outage::Plan),
    /// Measures relays beside a bare loop.
    Relays(relays::Plan),
}

/// Why a run proves nothing, or proves the contrary.
type Verdict = Result<(), String>;

/// Returns the verdict of a run that has not begun, because `program` cannot be installed.
fn without(program: &str, skip_missing: bool) -> Verdict {
    let reason = || format!("{program} cannot be installed; `--skip-missing` passes without it");
    skip_missing.then_some(()).ok_or_else(reason)
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command, skip_missing } = Arguments::parse();
    let verdict = match command {
        Command::Relay { database, broker, name } => {
            kills::relay(&database, &broker, &name).await;
            Ok(())
        }
        Command::Serve { database, broker } => outage::serve(&database, &broker).await,
        Command::Kills { times, seed } => kills::run(times, seed, skip_missing).await,
        Command::Outage(plan) => outage::run(&plan, skip_missing).await,
        Command::Relays(plan) => relays::run(&plan, skip_missing).await,
    };
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("failed: {failure}");
            ExitCode::FAILURE
        }
    }
}
