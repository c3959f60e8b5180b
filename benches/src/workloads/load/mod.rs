//! The load generator: a child process on the other core. It checks every answer, and prints the
//! figures of a run as JSON.

mod bulk;
mod echo;
mod fault;
mod http1;
mod many;
mod notice;
mod requests;
mod storm;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

pub(super) use self::fault::Fault;
use super::{
    descriptors,
    figures::{Figure, Figures, float},
};
use crate::wire::{processor_time, processor_time_since};

/// Longer than any run takes on a busy machine.
const STUCK: Duration = Duration::from_secs(100);

/// The server under load.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) port: u16,
    /// The server's process, whose processor time and memory are read.
    pub(super) process: u32,
    /// How much to do.
    pub(super) amount: u64,
    /// The folder with the certificate.
    pub(super) certificate: PathBuf,
}

/// The only line that the load generator prints.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// The figures.
    Found(Figures),
    /// The machine lacks something.
    Lacking(String),
}

/// Runs the workload `row` once.
///
/// # Errors
///
/// If the server answers wrongly, or not in time.
pub(super) fn run(row: &str, target: &Target) -> Result<Outcome, String> {
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let found = runtime.block_on(async {
        let found = tokio::time::timeout(STUCK, load(row, target)).await;
        found.unwrap_or_else(|_| Err(format!("it is not done after {STUCK:?}").into()))
    });
    match found {
        Ok(figures) => Ok(Outcome::Found(figures)),
        Err(Fault::Lacking(reason)) => Ok(Outcome::Lacking(reason)),
        Err(Fault::Wrong(reason)) => Err(reason),
    }
}

async fn load(row: &str, target: &Target) -> Result<Figures, Fault> {
    match row {
        "bulk-down" => bulk::down(target).await,
        "bulk-down-h2c" => bulk::down_h2c(target).await,
        "bulk-up" => bulk::up(target).await,
        "small" => requests::small(target).await,
        "pipeline" => requests::pipeline(target).await,
        "echo" => echo::echo(target).await,
        "events" => many::events(target).await,
        "tls-small" => requests::tls(target).await,
        "tls-bulk" => bulk::down_tls(target).await,
        "storm" => storm::storm(target).await,
        "idle" => many::idle(target).await,
        "stopping" => many::stopping(target).await,
        "notice" => notice::notice(target).await,
        _ => Err(format!("unknown workload `{row}`").into()),
    }
}

/// Measures the time and the server's processor time from its creation on.
struct Meter {
    process: u32,
    cpu: Option<u64>,
    began: Instant,
}

impl Meter {
    fn begin(target: &Target) -> Self {
        let process = target.process;
        Self { process, cpu: processor_time(process), began: Instant::now() }
    }

    /// Returns the processor time for each of `units`, and how many were done a second. Without a
    /// system that reports processor time, the figure is absent.
    fn end(&self, units: u64) -> Figures {
        let took = self.began.elapsed().as_secs_f64();
        let mut figures = Figures::from([(Figure::Rate, float(units) / took)]);
        if let Some(time) = processor_time_since(self.process, self.cpu) {
            figures.insert(Figure::Cpu, float(time) / float(units));
        }
        figures
    }
}
