//! SIGTERM to the order service while its clients write and hang up at random.

mod books;
mod clients;
mod http2;
mod ledger;
mod plan;
mod run;
mod verdict;

use clap::Args;

use crate::Failure;
use crate::orders;

#[derive(Args)]
pub(crate) struct Settings {
    /// The number of shutdowns; each has the next seed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Repeats the choices of the clients and the settings of the service; not the timing
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Half of them use HTTP/1, and half HTTP/2
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..=1000))]
    clients: u64,
}

/// Prints a line for each run. Returns whether all are good.
pub(crate) async fn run(settings: &Settings) -> Result<bool, Failure> {
    let binary = tokio::task::spawn_blocking(orders::binary).await??;
    let mut bad = Vec::new();
    for run in 0..settings.runs {
        let seed = settings.seed.wrapping_add(run);
        let good = run::one(&binary, seed, settings.clients).await.unwrap_or_else(|error| {
            println!("seed {seed}: WRONG: {error}");
            false
        });
        if !good {
            bad.push(seed);
        }
    }
    if bad.is_empty() {
        println!("{} good", settings.runs);
        return Ok(true);
    }
    println!("{} of {} bad; again with", bad.len(), settings.runs);
    for seed in &bad {
        println!("  shutdowns --runs 1 --seed {seed} --clients {}", settings.clients);
    }
    Ok(false)
}
