//! A mixed load for a given time: no count may grow from its first quarter to its last.
//!
//! The load stops at the end of each of twelve parts, so that a sample has only what remains.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use clap::{Args, value_parser};
use tokio::{runtime::Handle, time::sleep};

use crate::{
    campaign::{Campaign, Until},
    slot::Failure,
    tally::rate,
};

const PARTS: u32 = 12;
const QUARTER: usize = PARTS as usize / 4;
/// The allocator keeps a varying amount of memory, up to the buffers of the requests that are freed
/// at once at the end of a part. A leak of 1 KiB for each request would come to 200 MiB here.
const MEMORY_KIB: u64 = 8 * 1024;
/// The time for closed tasks and sockets to disappear.
const SETTLING: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct Settings {
    /// Seconds of the load; a quarter of the default is a minute
    #[arg(long, default_value_t = 240, value_parser = value_parser!(u64).range(6..=86_400))]
    seconds: u64,
    /// The seed of all choices; the timing is not repeated
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Uses only the embedded database, which needs no server
    #[arg(long)]
    pub(crate) sqlite_only: bool,
}

/// The counts while no request runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sample {
    memory_kib: u64,
    tasks: usize,
    /// Requests, permits and compensations, over all services.
    permits: usize,
    descriptors: usize,
}

fn memory_kib() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kib.ok_or_else(|| io::Error::other("no `VmRSS` in /proc/self/status"))
}

fn descriptors() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

impl Sample {
    fn take(permits: usize) -> io::Result<Self> {
        let tasks = Handle::current().metrics().num_alive_tasks();
        Ok(Self { memory_kib: memory_kib()?, tasks, permits, descriptors: descriptors()? })
    }

    /// Waits, for at most [`SETTLING`], until no task and no additional descriptor is left.
    async fn settled(permits: usize, before: usize) -> io::Result<Self> {
        let began = Instant::now();
        loop {
            let now = Self::take(permits)?;
            let settled = now.tasks == 0 && now.descriptors <= before;
            if settled || began.elapsed() > SETTLING {
                return Ok(now);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns the highest of each count.
    fn most(samples: &[Self]) -> Self {
        samples.iter().fold(Self::default(), |most, sample| Self {
            memory_kib: most.memory_kib.max(sample.memory_kib),
            tasks: most.tasks.max(sample.tasks),
            permits: most.permits.max(sample.permits),
            descriptors: most.descriptors.max(sample.descriptors),
        })
    }
}

/// Returns the counts that grew from the first quarter to the last, as text.
fn grown(samples: &[Sample]) -> Vec<String> {
    let quarter = QUARTER.min(samples.len());
    let first = Sample::most(&samples[..quarter]);
    let last = Sample::most(&samples[samples.len() - quarter..]);
    let mut grown = Vec::new();
    let mut at_most = |what: &str, last: u64, first: u64, more: u64| {
        if last > first + more {
            grown.push(format!("{what}: {last}, and {first} in the first quarter"));
        }
    };
    at_most("KiB", last.memory_kib, first.memory_kib, MEMORY_KIB);
    at_most("tasks", last.tasks as u64, first.tasks as u64, 0);
    at_most("permits", last.permits as u64, 0, 0);
    at_most("file descriptors", last.descriptors as u64, first.descriptors as u64, 0);
    grown
}

/// Runs the load. Returns whether no count grew and no work was lost.
pub(crate) async fn run(mut campaign: Campaign, settings: &Settings) -> Result<bool, Failure> {
    let whole = Duration::from_secs(settings.seconds);
    // The services that counted the stages end before the first sample.
    campaign.close().await;
    let before = Sample::settled(0, usize::MAX).await?;
    println!("| seconds | requests | faults |   KiB | tasks | permits | descriptors |");
    println!("|--------:|---------:|-------:|------:|------:|--------:|------------:|");
    row(Duration::ZERO, &campaign, &before);
    let began = Instant::now();
    let mut samples = Vec::new();
    for _ in 0..PARTS {
        let time = Instant::now() + whole / PARTS;
        campaign.run(Until { runs: u64::MAX, time }).await?;
        let permits = campaign.in_flight();
        campaign.close().await;
        campaign.clear().await?;
        let sample = Sample::settled(permits, before.descriptors).await?;
        row(began.elapsed(), &campaign, &sample);
        samples.push(sample);
    }
    let grown = grown(&samples);
    let tally = campaign.tally();
    let (requests, took) = (tally.requests(), began.elapsed());
    let verdict = match (grown.is_empty(), tally.is_good()) {
        (true, true) => "nothing grew, nothing was lost".to_owned(),
        (true, false) => {
            format!("WRONG: {} bad runs, {} bad reports", tally.bad, tally.bad_services)
        }
        (false, _) => format!("WRONG: {}", grown.join("; ")),
    };
    println!(
        "\nseed {}: {requests} requests in {:.0} s, {:.0}/s, {} of them with a fault: {verdict}",
        settings.seed,
        took.as_secs_f64(),
        rate(requests, took),
        tally.total().sum()
    );
    Ok(grown.is_empty() && tally.is_good())
}

fn row(took: Duration, campaign: &Campaign, sample: &Sample) {
    let tally = campaign.tally();
    println!(
        "| {:7.0} | {:8} | {:6} | {:5} | {:5} | {:7} | {:11} |",
        took.as_secs_f64(),
        tally.requests(),
        tally.total().sum(),
        sample.memory_kib,
        sample.tasks,
        sample.permits,
        sample.descriptors
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAT: Sample = Sample { memory_kib: 50_000, tasks: 100, permits: 0, descriptors: 90 };

    fn with_last(last: Sample) -> Vec<String> {
        let mut samples = [FLAT; PARTS as usize];
        samples[PARTS as usize - 1] = last;
        grown(&samples)
    }

    #[test]
    fn each_growing_count_is_named() {
        assert_eq!(with_last(FLAT), Vec::<String>::new());
        assert_eq!(with_last(Sample { memory_kib: 58_192, ..FLAT }), Vec::<String>::new());
        let grown = [
            ("KiB", Sample { memory_kib: 58_193, ..FLAT }),
            ("tasks", Sample { tasks: 101, ..FLAT }),
            ("permits", Sample { permits: 1, ..FLAT }),
            ("file descriptors", Sample { descriptors: 91, ..FLAT }),
        ];
        for (what, last) in grown {
            let found = with_last(last);
            assert!(found.len() == 1 && found[0].starts_with(what), "{what}: {found:?}");
        }
    }
}
