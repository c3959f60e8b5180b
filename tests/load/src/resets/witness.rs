//! Two witnesses during the flood: one reads, and one samples the memory and the work in flight.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::flood::Flood;
use super::patient::PATIENCE;
use crate::Failure;
use crate::http1::{Connection, request};

/// The pause between two reads.
const READ: Duration = Duration::from_millis(5);
/// The pause between two samples.
const LOOK: Duration = Duration::from_millis(10);

/// The reads during the flood, all of which were answered.
#[derive(Debug, Default)]
pub(super) struct Witness {
    pub(super) reads: usize,
    pub(super) slowest: Duration,
}

impl Witness {
    /// Reads every few milliseconds until the flood is over.
    pub(super) async fn watch(
        at: SocketAddr,
        running: watch::Receiver<()>,
    ) -> Result<Self, Failure> {
        let mut connection = Connection::open(at).await?;
        let mut witness = Self::default();
        while running.has_changed().is_ok() {
            let start = Instant::now();
            get(&mut connection, "/read").await?;
            witness.reads += 1;
            witness.slowest = witness.slowest.max(start.elapsed());
            sleep(READ).await;
        }
        Ok(witness)
    }
}

async fn get(connection: &mut Connection, path: &str) -> Result<String, Failure> {
    let answer = timeout(PATIENCE, connection.call(&request("GET", path, "", ""))).await;
    let answer = answer.map_err(|_| format!("no answer to {path} within {PATIENCE:?}"))??;
    if answer.status == 200 {
        Ok(answer.body)
    } else {
        Err(format!("{path} was answered {}", answer.status).into())
    }
}

/// The samples.
#[derive(Debug, Default)]
pub(super) struct Sampled {
    /// The highest number of work in flight by the runtime's count.
    pub(super) in_flight: usize,
    /// The highest resident memory in KiB by quarter of the flood; zeros without `/proc`.
    pub(super) memory: [u64; 4],
}

/// A part of `GET /in_flight`.
#[derive(Deserialize)]
struct InFlight {
    requests: usize,
    work: Vec<Work>,
}

#[derive(Debug, Deserialize)]
struct Work {
    age_ms: u64,
}

impl InFlight {
    /// Returns the work at one moment. A snapshot is assembled from several parts, so work that
    /// began meanwhile may stand beside work that ended meanwhile. Such work has no age yet.
    fn at_once(&self) -> usize {
        self.work.iter().filter(|work| work.age_ms > 0).count()
    }
}

async fn in_flight(connection: &mut Connection) -> Result<InFlight, Failure> {
    Ok(serde_json::from_str(&get(connection, "/in_flight").await?)?)
}

/// Samples every few milliseconds until the flood is over.
pub(super) async fn sample(
    at: SocketAddr,
    pid: Pid,
    flood: Arc<Flood>,
    running: watch::Receiver<()>,
) -> Result<Sampled, Failure> {
    let mut connection = Connection::open(at).await?;
    let mut sampled = Sampled::default();
    loop {
        let over = running.has_changed().is_err();
        let quarter = (4 * flood.reset() / flood.count).min(3);
        let memory = &mut sampled.memory[quarter];
        *memory = resident(pid).unwrap_or(0).max(*memory);
        sampled.in_flight = in_flight(&mut connection).await?.at_once().max(sampled.in_flight);
        if over {
            return Ok(sampled);
        }
        sleep(LOOK).await;
    }
}

/// Returns the resident memory in KiB, if there is a `/proc`.
fn resident(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Waits until only the request of this function is in flight.
pub(super) async fn until_idle(at: SocketAddr) -> Result<(), Failure> {
    let mut connection = Connection::open(at).await?;
    let start = Instant::now();
    loop {
        let InFlight { requests, work } = in_flight(&mut connection).await?;
        if requests <= 1 && work.is_empty() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("after the flood: {requests} requests, {work:?}").into());
        }
        sleep(LOOK).await;
    }
}
