//! Runs of `h2load`, and what they say.
//!
//! A run has a number of requests, not a time: the timed mode of the versions that Debian has often hangs at
//! its end when the machine is busy. So the rate is taken out of the log of all requests, from its middle.

use std::{fs, path::Path, time::Duration};

use super::{
    Protocol,
    child::Running,
    cores::{self, Cores},
};

/// Beyond this a run is stuck, on whatever machine: it is meant to take ten seconds at the very most.
const STUCK: Duration = Duration::from_mins(1);

/// What a run found out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests a second.
    pub rate: f64,
    /// What 99 of 100 requests took no longer than, in microseconds.
    pub p99: f64,
    /// What one request took of the server's processor time, in nanoseconds; `None` where the system does not
    /// say.
    pub cpu: Option<f64>,
}

/// What is loaded, and with how many connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) protocol: Protocol,
    pub(super) server: &'a Running,
    pub(super) connections: u32,
    /// Where h2load's log goes meanwhile.
    pub(super) log: &'a Path,
    pub(super) cores: Option<Cores>,
}

impl Target<'_> {
    /// How many requests take about that long: tried with ever more of them.
    pub(super) fn calibrate(&self, duration: Duration) -> Result<u32, String> {
        let mut requests = self.connections.max(20);
        loop {
            let load = self.load(requests)?;
            if f64::from(requests) >= load.rate * duration.as_secs_f64() / 8.0 {
                return Ok(self.requests(load, duration));
            }
            requests *= 8;
        }
    }

    /// How many requests take about that long, if they go as those of `load` did.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    pub(super) fn requests(&self, load: Load, duration: Duration) -> u32 {
        // Each connection has to have something to do.
        ((load.rate * duration.as_secs_f64()) as u32).max(self.connections * 4)
    }

    /// Sends that many requests.
    pub(super) fn load(&self, requests: u32) -> Result<Load, String> {
        let log = self.log;
        // h2load appends.
        if log.exists() {
            fs::remove_file(log)
                .map_err(|error| format!("cannot remove {}: {error}", log.display()))?;
        }
        let mut command = cores::client(self.cores, "timeout");
        command.args(["--kill-after=5", &STUCK.as_secs().to_string(), "h2load"]);
        command.arg(format!("--requests={requests}"));
        command.arg(format!("--clients={}", self.connections));
        command.arg(format!("--log-file={}", log.display()));
        if self.protocol == Protocol::Http1 {
            command.arg("--h1");
        }
        command.arg(format!("http://127.0.0.1:{}/x", self.server.port(self.protocol)));
        let before = self.server.cpu();
        let output = command.output().map_err(|error| format!("cannot run h2load: {error}"))?;
        let cpu = before.zip(self.server.cpu()).map(|(before, after)| after.saturating_sub(before));
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(format!("h2load: {}, {}", output.status, complaint.trim()));
        }
        all_succeeded(&String::from_utf8_lossy(&output.stdout))?;
        let log = fs::read_to_string(log).map_err(|error| format!("no log of h2load: {error}"))?;
        let cpu = cpu.map(|cpu| float(cpu) / f64::from(requests));
        Ok(Load { cpu, ..read_log(&log)? })
    }
}

/// Whether all requests were answered with a success, by what h2load printed at its end.
///
/// # Errors
///
/// If not, or if that is not there.
pub fn all_succeeded(said: &str) -> Result<(), String> {
    let count = |line: &str, of: &str| -> Result<u32, String> {
        let line = said.lines().find_map(|said| said.strip_prefix(line));
        // Each part is a number and what it counts.
        let mut parts = line.into_iter().flat_map(|line| line.split(", "));
        let count = parts.find_map(|part| part.strip_suffix(of)?.trim().parse().ok());
        count.ok_or_else(|| format!("h2load printed no number of `{of}`:\n{said}"))
    };
    let total = count("requests: ", "total")?;
    let (succeeded, fine) = (count("requests: ", "succeeded")?, count("status codes: ", "2xx")?);
    if total == 0 || (succeeded, fine) != (total, total) {
        return Err(format!("of {total} requests, {succeeded} succeeded, {fine} with status 2xx"));
    }
    Ok(())
}

/// The rate and the percentile, by the log of a run: of the requests that ended between the first tenth and
/// the last fifth of them, because connections are made before and run out of requests after.
///
/// # Errors
///
/// If it has another form, or too few requests, or one of them failed.
pub fn read_log(log: &str) -> Result<Load, String> {
    let mut requests = Vec::new();
    for line in log.lines() {
        let number = |column: Option<&str>| column.and_then(|number| number.parse::<u64>().ok());
        let mut columns = line.split('\t');
        let (began, status, took) = (columns.next(), columns.next(), columns.next());
        let (Some(began), Some(took)) = (number(began), number(took)) else {
            return Err(format!("`{line}`: expected the start, status and time of a request"));
        };
        if status != Some("200") {
            return Err(format!("`{line}`: expected status 200"));
        }
        requests.push((began + took, took));
    }
    requests.sort_unstable();
    let middle = &requests[requests.len() / 10..requests.len() - requests.len() / 5];
    let (Some((first, _)), Some((last, _)), false) =
        (middle.first(), middle.last(), middle.len() < 10)
    else {
        return Err(format!("{} requests are too few to tell", requests.len()));
    };
    let microseconds = (last - first).max(1);
    let mut took: Vec<u64> = middle.iter().map(|(_, took)| *took).collect();
    let at = (took.len() * 99).div_ceil(100) - 1;
    let (_, p99, _) = took.select_nth_unstable(at);
    // The first one's end is where the time begins.
    let rate = float(middle.len() as u64 - 1) * 1e6 / float(microseconds);
    Ok(Load { rate, p99: float(*p99), cpu: None })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
