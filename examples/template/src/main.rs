//! The command: `cargo run` serves, `cargo run -- policies` prints the policy of each handler.

use std::io;
use std::process::ExitCode;

use service::{Config, Service};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[tokio::main]
async fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("policies") => {
            print!("{:#}", followthrough::policies());
            return ExitCode::SUCCESS;
        }
        Some(other) => return refuse(&format!("unknown command `{other}`: expected `policies`")),
    }
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return refuse(&error.to_string()),
    };
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    tracing_subscriber::registry().with(log).with(config.log.clone()).init();

    let service = match Service::start(&config).await {
        Ok(service) => service,
        Err(error) => return refuse(&error.to_string()),
    };
    println!("listening on http://{}", service.address());
    match service.run().await {
        Ok(report) => {
            eprintln!("{report}");
            report.exit()
        }
        Err(error) => refuse(&error.to_string()),
    }
}

/// Reports bad input: one line, exit code 2.
fn refuse(reason: &str) -> ExitCode {
    eprintln!("{}: {reason}", env!("CARGO_PKG_NAME"));
    ExitCode::from(2)
}
