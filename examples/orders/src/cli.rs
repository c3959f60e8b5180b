//! The command line. Bad input is one line on stderr and exit code 2.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::Targets;

use crate::db::Location;

/// The service's own lines, and the runtime's lines about cancelled requests.
pub(crate) const DEFAULT_LOG: &str = "orders=info,followthrough=debug";

/// An order service that shows what happens to a request when its client leaves.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the service on a free port, play its clients, and check the end of each request
    Tour,
    /// Print which signals end which handler
    Policies {
        /// The policies of the source, without lines and without an operator's deadlines, as in
        /// `policies.txt`
        #[arg(long)]
        review: bool,
        /// A TOML file of deadlines by the names of handlers, as the service takes it
        #[arg(long, value_name = "FILE", conflicts_with = "review")]
        deadlines: Option<PathBuf>,
    },
    /// List, retry or drop the letters that the warehouse has refused
    #[command(arg_required_else_help = false)]
    Outbox {
        #[command(subcommand)]
        command: OutboxCommand,
    },
}

#[derive(Subcommand)]
pub(crate) enum OutboxCommand {
    /// Print the parked letters, the oldest first
    List {
        #[command(flatten)]
        file: ServiceFile,
    },
    /// Put a parked letter, or all of them, back in line
    Retry {
        /// The number of the letter, as `list` prints it
        #[arg(required_unless_present = "all")]
        number: Option<i64>,
        /// All parked letters
        #[arg(long, conflicts_with = "number")]
        all: bool,
        #[command(flatten)]
        file: ServiceFile,
    },
    /// Remove a parked letter, which is never delivered then
    Drop {
        /// The number of the letter, as `list` prints it
        number: i64,
        #[command(flatten)]
        file: ServiceFile,
    },
}

#[derive(Args)]
pub(crate) struct ServiceFile {
    /// The database file of the service, which may be running
    #[arg(long, value_name = "FILE")]
    pub(crate) db: Location,
}

#[derive(Args, Clone)]
pub(crate) struct Settings {
    /// Port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 3000)]
    pub(crate) port: u16,
    /// Database file, created if missing
    #[arg(long, value_name = "FILE", default_value = ":memory:")]
    pub(crate) db: Location,
    /// The grace of a shutdown
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// The part of the grace for reads [default: 5s, or a sixth of the grace if that is less]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) read_grace: Option<Duration>,
    /// Latency added to every SQL statement of a handler, so that a person can hang up in time
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration)]
    pub(crate) slow: Duration,
    /// How many requests may be past their point of no return at once
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) max_durable_writes: usize,
    /// A TOML file of deadlines by the names of handlers; `ORDERS_DEADLINE_<NAME>` wins over it
    #[arg(long, value_name = "FILE")]
    pub(crate) deadlines: Option<PathBuf>,
    /// The address of `GET /metrics` and `GET /live`, such as 127.0.0.1:9464; none without it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) operations: Option<SocketAddr>,
    /// The form of the shutdown report: text, or one line of JSON
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) report: ReportFormat,
    /// The log filter, as `target=level,…`
    #[arg(long, value_name = "FILTER", default_value = DEFAULT_LOG)]
    pub(crate) log: Targets,
}

/// The form of the shutdown report.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

impl Cli {
    /// Reads the arguments. Exits if they are wrong, or ask for help.
    pub(crate) fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            if error.use_stderr() {
                // The names of missing arguments are on lines of their own.
                let message = error.to_string();
                let lines = message.lines().take_while(|line| !line.is_empty());
                let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
                crate::refuse(line.trim_start_matches("error: "));
            }
            error.exit()
        })
    }
}

/// Parses `500ms`, `2s`, `1m` or `1h`, up to a day.
fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("expected a time like `500ms`, `2s`, `1m` or `1h`".to_owned()),
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    match ms.map(Duration::from_millis) {
        Some(time) if time <= Duration::from_hours(24) => Ok(time),
        _ => Err("expected a number and a unit, up to `24h`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("24h"), Ok(Duration::from_hours(24)));
        for bad in ["", "2", "s", "-1s", "1.5s", "25h", "99999999999999999999s", "2 s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
