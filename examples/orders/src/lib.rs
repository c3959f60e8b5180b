//! An order service on axum. An attribute of `followthrough` on each handler sets what happens to a
//! request when its client leaves, its deadline passes or the process shuts down.
//!
//! Begin with `orders.rs`. `cargo run -p orders -- tour` plays the clients and checks the outcome.
//!
//! The library exports [`routes`] and [`keys`], which other examples put under other servers.

mod app;
mod cli;
mod db;
mod events;
mod extract;
mod health;
mod holds;
mod operations;
mod orders;
mod outbox;
mod peers;
mod problem;
mod recount;
mod report;
mod service;
mod stock;
mod tour;
mod transfers;

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use followthrough::Lifecycle;
use followthrough::catalogue::Policies;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{Cli, Command, ReportFormat, Settings};
pub use crate::peers::Provider;
pub use crate::service::{Latency, keys, routes, shop};
use crate::service::{Service, StartError};

/// Runs the command: reads its arguments, serves until a signal, and prints the report.
pub async fn main() -> ExitCode {
    let cli = Cli::read();
    match cli.command {
        Some(Command::Tour) => tour::run().await,
        Some(Command::Policies { review: true, .. }) => {
            print!("{:#}", reviewed());
            ExitCode::SUCCESS
        }
        Some(Command::Policies { deadlines, .. }) => {
            let lifecycle = service::with_deadlines(deadlines.as_deref())
                .and_then(|lifecycle| lifecycle.build().map_err(StartError::Settings))
                .unwrap_or_else(|error| refuse(error));
            print!("{}", lifecycle.policies());
            ExitCode::SUCCESS
        }
        Some(Command::Outbox { command }) => match outbox::run(command).await {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => refuse(error),
        },
        None => serve(&cli.settings).await,
    }
}

async fn serve(settings: &Settings) -> ExitCode {
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(log).with(settings.log.clone()).init();

    let mut service = Service::start(settings, true).await.unwrap_or_else(|error| refuse(error));
    println!("listening on http://{}", service.address);
    let operations = service.operations.take();
    if let Some(operations) = &operations {
        println!("operations on http://{}", operations.address);
    }
    let provider = service.provider.clone();
    match service.run().await {
        Ok(report) => {
            provider.log_totals();
            match settings.report {
                ReportFormat::Text => println!("{report}"),
                ReportFormat::Json => match serde_json::to_string(&report) {
                    Ok(line) => println!("{line}"),
                    Err(error) => refuse(error),
                },
            }
            if let Some(operations) = operations {
                operations.finish().await;
            }
            report.exit()
        }
        Err(error) => refuse(error),
    }
}

/// Returns the policies of the source with the routes of both ports, as in `policies.txt`.
fn reviewed() -> Policies {
    let lifecycle = Lifecycle::builder().idempotency(keys()).signals(false).build();
    let lifecycle = lifecycle.unwrap_or_else(|error| refuse(error));
    followthrough::policies()
        .with_routes(&app::routes(&lifecycle).routes())
        .with_routes(&operations::list(&lifecycle))
}

/// Ends the process because of bad input: one line, exit code 2.
fn refuse(reason: impl Display) -> ! {
    eprintln!("orders: {reason}");
    std::process::exit(2)
}

#[cfg(test)]
mod tests {
    /// A change that weakens a policy is visible in the diff of `policies.txt`, or this test fails.
    #[test]
    fn the_policies_are_those_that_were_reviewed() {
        let now = format!("{:#}", super::reviewed());
        assert!(
            now == include_str!("../policies.txt"),
            "a policy has changed; if that is meant, write it down for the review:\n\
             cargo run -p orders -- policies --review > examples/orders/policies.txt\n\n{now}"
        );
    }
}
