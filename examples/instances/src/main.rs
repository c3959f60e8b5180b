//! An orders service of which three processes run on loopback, and the proof that a rolling deploy loses nothing.
//!
//! ```text
//! cargo run -p instances              # PostgreSQL, NATS, HAProxy and three instances, until Ctrl-C
//! cargo run -p instances -- deploy    # 200 clients, while the instances are replaced one by one
//! ```

mod client;
mod cluster;
mod deploy;
mod ledger;
mod service;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Succeeds without `PostgreSQL`, NATS or `HAProxy` if they cannot be installed.
    #[arg(long, global = true)]
    skip_missing: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Replaces the instances one by one while clients send orders, and counts what is left.
    Deploy(deploy::Settings),
    /// Runs one instance.
    #[command(hide = true)]
    Serve(service::Settings),
    /// Runs the cluster until standard input ends.
    #[command(hide = true)]
    Cluster,
}

/// Why a command failed.
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
        None => cluster::supervise(skip_missing).await,
        Some(Command::Deploy(settings)) => deploy::run(settings, skip_missing).await,
        Some(Command::Cluster) => cluster::run(skip_missing).await,
        Some(Command::Serve(settings)) => return serve(settings).await,
    };
    let Err(failure) = verdict else { return ExitCode::SUCCESS };
    eprintln!("failed: {failure}");
    ExitCode::FAILURE
}

/// Runs one instance, and prints the report of its shutdown as one line of JSON.
async fn serve(settings: service::Settings) -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let ended = service::serve(settings).await.and_then(|report| {
        println!("{}", serde_json::to_string(&report)?);
        Ok(report)
    });
    match ended {
        Ok(report) => report.exit(),
        Err(error) => {
            eprintln!("the instance failed: {error}");
            ExitCode::FAILURE
        }
    }
}
