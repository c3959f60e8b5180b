//! Kills processes within keyed writes, and counts what is left.
//!
//! ```text
//! cargo run -p followthrough-crashes -- kill                          # 200 times on each database
//! cargo run -p followthrough-crashes -- kill --database sqlite --times 20
//! cargo run -p followthrough-crashes -- instances                     # three behind HAProxy, one of them killed
//! ```
//!
//! Each command prints a table, and fails if an order exists twice, is missing, or was answered in two ways.

mod client;
mod instances;
mod kill;
mod service;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::service::Database;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
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
    /// Runs three instances behind HAProxy, and kills one within a write.
    Instances {
        /// Orders, each of which a client repeats until it has an answer.
        #[arg(long, default_value_t = 300)]
        orders: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let succeeded = match Arguments::parse().command {
        Command::Serve { url } => service::serve(&url).await,
        Command::Kill { database, times, seed } => {
            let mut succeeded = true;
            for each in [Database::Sqlite, Database::Postgres] {
                if database.is_none_or(|only| only == each) {
                    succeeded &= kill::run(each, times, seed).await;
                }
            }
            succeeded
        }
        Command::Instances { orders, seed } => instances::run(orders, seed).await,
    };
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
