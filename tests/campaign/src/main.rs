//! Every policy, cut at every await: by a disconnect, a reset, a deadline, a shutdown, and a panic
//! elsewhere on the connection, over both protocols and on two databases.
//!
//! Begun work is whole, and other work is absent. A panic of the body itself ends it by law 7 and
//! is not a fault here.

mod around;
mod campaign;
mod client;
mod database;
mod fault;
mod handlers;
mod keys;
mod plan;
mod report;
mod retries;
mod service;
mod slot;
mod soak;
mod tables;
mod tally;
mod verdict;
mod visit;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand, value_parser};

use self::{
    campaign::{Campaign, Settings, Until, start_postgres},
    keys::Keys,
    report::Report,
    slot::Failure,
    tables::with_table,
    visit::ON_PURPOSE,
};

/// Every policy, cut at every await: begun work is whole, and other work is absent
#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many faults to cause
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u64).range(1..=10_000_000))]
    runs: u64,
    /// The seed of all choices; the timing is not repeated
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// No run begins after this many minutes
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// The seed of one run, which is repeated until its fault has taken effect ten times
    #[arg(long)]
    replay: Option<u64>,
    /// Uses only the embedded database, which needs no server
    #[arg(long)]
    sqlite_only: bool,
    /// Breaks the runtime, so that bodies past their point of no return are dropped; the campaign
    /// has to fail
    #[arg(long)]
    without_rescue: bool,
    /// Sends idempotency keys: a client without a definite answer repeats its request
    #[arg(long)]
    retries: bool,
    /// Forgets the claims of keys, so that retries write again; the campaign has to fail
    #[arg(long, requires = "retries")]
    without_claim: bool,
    /// The file for the report as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// The file for the table as Markdown, which replaces an earlier table of its kind there
    #[arg(long)]
    markdown: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// A mixed load with random faults, under which no count may grow
    Soak(soak::Settings),
}

impl Cli {
    const fn settings(&self) -> Settings {
        let keys = match (self.retries, self.without_claim) {
            (false, _) => Keys::NotSent,
            (true, false) => Keys::Sent,
            (true, true) => Keys::Forgotten,
        };
        Settings { seed: self.seed, sqlite_only: self.sqlite_only, mixed: false, keys }
    }
}

/// Hides the campaign's own panics from the output.
fn hush() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(ON_PURPOSE) {
            loud(info);
        }
    }));
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    hush();
    let outcome = start(&cli);
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("followthrough-campaign: {error}");
            ExitCode::from(2)
        }
    }
}

fn start(cli: &Cli) -> Result<bool, Failure> {
    let soak = cli.command.as_ref().map(|Command::Soak(settings)| settings);
    let settings = soak.map_or_else(
        || cli.settings(),
        |soak| Settings {
            seed: soak.seed,
            sqlite_only: soak.sqlite_only,
            mixed: true,
            keys: Keys::NotSent,
        },
    );
    let postgres = start_postgres(settings.sqlite_only);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let campaign = Campaign::open(settings, postgres).await?;
        if let Some(soak) = soak {
            return soak::run(campaign, soak).await;
        }
        if cli.without_rescue {
            followthrough::testing::break_rescue();
        }
        match cli.replay {
            Some(seed) => replay(campaign, seed).await,
            None => run(campaign, cli).await,
        }
    })
}

async fn run(mut campaign: Campaign, cli: &Cli) -> Result<bool, Failure> {
    let began = Instant::now();
    let time = began + Duration::from_secs(60 * cli.minutes);
    campaign.run_aloud(Until { runs: cli.runs, time }).await?;
    campaign.close().await;
    let report = Report::new(cli.seed, began.elapsed(), &campaign);
    print!("{report}");
    if let Some(file) = &cli.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(file) = &cli.markdown {
        // The file may have the table of another kind of campaign, and may not exist yet.
        let before = std::fs::read_to_string(file).unwrap_or_default();
        std::fs::write(file, with_table(&before, &report.to_string()))?;
    }
    let done = report.runs >= cli.runs;
    if !done {
        eprintln!("stopped after {} of {} runs", report.runs, cli.runs);
    }
    Ok(done && campaign.tally().is_good())
}

async fn replay(mut campaign: Campaign, seed: u64) -> Result<bool, Failure> {
    let mut fell = 0;
    // How often a statement suspends depends on the database.
    for _ in 0..100 {
        fell += u32::from(campaign.replay(seed).await);
        if fell == 10 {
            break;
        }
    }
    campaign.close().await;
    let tally = campaign.tally();
    println!("the fault fell {fell} times; {} bad runs", tally.bad);
    if fell == 0 && tally.is_good() {
        return Err("its point was never reached".into());
    }
    Ok(tally.is_good())
}
