//! Kills processes within keyed writes, and counts what is left.
//!
//! ```text
//! cargo run -p followthrough-crashes -- kill                          # 200 times on each database
//! cargo run -p followthrough-crashes -- kill --database sqlite --times 20
//! cargo run -p followthrough-crashes -- instances                     # three behind HAProxy, one of them killed
//! ```
//!
//! Each command prints a table, and fails if an order exists twice, is missing, or was answered in two ways. A run that
//! proves nothing fails as well: one without `PostgreSQL` or `HAProxy`, and one in which no client had to come back.

mod client;
mod instances;
mod kill;
mod service;
mod victim;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::service::Database;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Succeeds without `PostgreSQL` or `HAProxy` if they cannot be installed.
    #[arg(long, global = true)]
    skip_missing: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serves orders from this database, until the process is killed.
    #[command(hide = true)]
    Serve { url: String },
    /// Kills the service between the begin and the end of a keyed write.
    Kill {
        /// `postgres` or `sqlite`; both if it is left out.
        #[arg(long)]
        database: Option<Database>,
        #[arg(long, default_value_t = 200)]
        times: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Runs three instances behind `HAProxy`, and kills one within a write.
    Instances {
        /// Orders, each of which a client repeats until it has an answer.
        #[arg(long, default_value_t = 300)]
        orders: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
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
    let mut verdicts = Vec::new();
    match command {
        Command::Serve { url } => verdicts.push(service::serve(&url).await),
        Command::Kill { database, times, seed } => {
            for each in [Database::Sqlite, Database::Postgres] {
                if database.is_none_or(|only| only == each) {
                    verdicts.push(kill::run(each, times, seed, skip_missing).await);
                }
            }
        }
        Command::Instances { orders, seed } => {
            verdicts.push(instances::run(orders, seed, skip_missing).await);
        }
    }
    let failures: Vec<_> = verdicts.into_iter().filter_map(Result::err).collect();
    for failure in &failures {
        eprintln!("failed: {failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
