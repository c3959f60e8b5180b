//! A flood of HTTP/2 resets on a durable route, while other clients wait for responses.

mod flood;
mod patient;
mod target;
mod verdict;
mod witness;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use clap::Args;
use fastrand::Rng;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::timeout;

use self::flood::Flood;
use self::patient::Patient;
pub(crate) use self::target::{TargetSettings, run as target};
use self::verdict::Seen;
use self::witness::Witness;
use crate::Failure;
use crate::child::Service;

/// The limit on durable work.
const LIMIT: usize = 64;

/// Longer than the target's grace and its last second.
const END: Duration = Duration::from_secs(20);

#[derive(Args)]
pub(crate) struct Settings {
    /// How many streams are opened and reset
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    count: u32,
    /// Repeats the moments of the resets, as far as a seed determines them
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs and prints one line. Returns whether the run is good.
pub(crate) async fn run(settings: &Settings) -> Result<bool, Failure> {
    let (line, good) = match flooded(settings).await {
        Ok(outcome) => outcome,
        Err(error) => (format!("WRONG: {error}"), false),
    };
    println!("seed {}: {line}", settings.seed);
    Ok(good)
}

/// Floods a target of its own.
async fn flooded(settings: &Settings) -> Result<(String, bool), Failure> {
    let count = settings.count as usize;
    let mut random = Rng::with_seed(settings.seed);
    // The requests of the flood have the first half of the numbers, and those of patient clients
    // the second half.
    let service = Service::start(command(2 * count)?).await?;
    let (at, pid) = (service.address, service.pid().ok_or("the target has ended")?);

    let flood = Flood::new(at, count);
    let (over, running) = watch::channel(());
    let witness = tokio::spawn(Witness::watch(at, running.clone()));
    let sampled = tokio::spawn(witness::sample(at, pid, flood.clone(), running.clone()));
    let patient = Patient { at, next: Arc::new(AtomicUsize::new(count)), end: 2 * count };
    let waiting = tokio::spawn(patient.clone().write_until(running));
    // A flood that is stuck is a failure. The limit grows with the size of the flood.
    let most = Duration::from_mins(1) + Duration::from_millis(10) * settings.count;
    let flooded = timeout(most, flood.clone().run(&mut random)).await;
    drop(over);
    flooded.map_err(|_| "the flood is stuck")?;

    let (witness, sampled, mut answers) = (witness.await??, sampled.await??, waiting.await??);
    // A write succeeds only if permits have been given back.
    witness::until_idle(at).await?;
    answers.push(patient.write_once().await?);
    let ended = service.terminate(END).await?;
    let seen = Seen { flood: &flood, witness, sampled, answers };
    verdict::judge(&seen, &ended)
}

fn command(ids: usize) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["reset-target", "--limit", &LIMIT.to_string(), "--ids", &ids.to_string()]);
    Ok(command)
}
