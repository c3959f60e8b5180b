//! Runs of `h2load`, and their output.
//!
//! A run has a number of requests instead of a time, because the timed mode of Debian's versions
//! often hangs at its end on a busy machine. So the rate comes from the middle of the log of all
//! requests.

use std::{fs, path::Path, time::Duration};

use super::{
    Protocol,
    child::{Running, processor_time, processor_time_since},
    cores::{self, Cores},
};

/// A run of this length is stuck on any machine, because it should take ten seconds at most.
const STUCK: Duration = Duration::from_mins(1);

/// The figures of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests per second.
    pub rate: f64,
    /// The 99th percentile of the times of the requests, in microseconds.
    pub p99: f64,
    /// The server's processor time for one request, in nanoseconds; `None` if the system does not
    /// report it.
    pub cpu: Option<f64>,
}

/// The server under load, and the number of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) server: &'a Running,
    pub(crate) connections: u32,
    /// The requests under way on a connection at a time.
    pub(crate) streams: u32,
    /// The path of h2load's log.
    pub(crate) log: &'a Path,
    pub(crate) cores: Option<Cores>,
}

impl Target<'_> {
    /// Returns how many requests take about `duration`, after tries with more and more of them.
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

    /// Returns how many requests take about `duration` at the rate of `load`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    pub(super) fn requests(&self, load: Load, duration: Duration) -> u32 {
        // Each connection needs requests.
        ((load.rate * duration.as_secs_f64()) as u32).max(self.connections * 4)
    }

    /// Sends `requests` requests.
    pub(crate) fn load(&self, requests: u32) -> Result<Load, String> {
        let log = self.log;
        // h2load appends to its log.
        if log.exists() {
            fs::remove_file(log)
                .map_err(|error| format!("cannot remove {}: {error}", log.display()))?;
        }
        let mut command = cores::client(self.cores, "timeout");
        command.args(["--kill-after=5", &STUCK.as_secs().to_string(), "h2load"]);
        command.arg(format!("--requests={requests}"));
        command.arg(format!("--clients={}", self.connections));
        command.arg(format!("--max-concurrent-streams={}", self.streams));
        command.arg(format!("--log-file={}", log.display()));
        if self.protocol == Protocol::Http1 {
            command.arg("--h1");
        }
        command.arg(format!("http://127.0.0.1:{}/x", self.server.port(self.protocol)));
        let before = processor_time(self.server.id());
        let output = command.output().map_err(|error| format!("cannot run h2load: {error}"))?;
        let cpu = processor_time_since(self.server.id(), before);
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

/// Checks the summary of h2load: all requests were answered with a success.
///
/// # Errors
///
/// If a request failed, or the summary is missing.
pub fn all_succeeded(said: &str) -> Result<(), String> {
    let count = |line: &str, of: &str| -> Result<u32, String> {
        let line = said.lines().find_map(|said| said.strip_prefix(line));
        // Each part is a number and its name.
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

/// Reads the rate and the percentile from the log of a run: of the requests that ended between the
/// first tenth and the last fifth, because connections are opened before and run out of requests
/// after.
///
/// # Errors
///
/// If the log has another form, or too few requests, or a failed request.
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
    // The time begins at the end of the first request.
    let rate = float(middle.len() as u64 - 1) * 1e6 / float(microseconds);
    Ok(Load { rate, p99: float(*p99), cpu: None })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
