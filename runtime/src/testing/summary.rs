//! The results of all runs.

use std::{collections::BTreeMap, fmt};

use http::StatusCode;

use super::{disconnect_run::DisconnectRun, point::Disconnect};

/// All disconnects of one request, each with its check passed. `Display` prints them by `await`.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    runs: usize,
    cut: usize,
    begun: usize,
    stuck: bool,
    left_alone: Option<StatusCode>,
    awaits: BTreeMap<(u32, String), usize>,
    by: BTreeMap<Disconnect, usize>,
}

impl Summary {
    /// Returns the number of requests that were sent.
    #[must_use]
    pub const fn runs(&self) -> usize {
        self.runs
    }

    /// Returns the number of requests that were cut. The others ended before they reached their point.
    #[must_use]
    pub const fn cut(&self) -> usize {
        self.cut
    }

    /// Returns the number of requests that were cut after a durable write had begun.
    #[must_use]
    pub const fn begun(&self) -> usize {
        self.begun
    }

    /// Returns the status of the request that ran without a disconnect.
    #[must_use]
    pub const fn left_alone(&self) -> Option<StatusCode> {
        self.left_alone
    }

    /// Returns the `await`s of your code at which a request was cut, as `file:line:column in function`.
    pub fn awaits(&self) -> impl Iterator<Item = &str> {
        self.awaits.keys().map(|(_, place)| place.as_str())
    }

    pub(super) fn alone(&mut self, status: Option<StatusCode>) {
        self.left_alone = status;
    }

    pub(super) fn add(&mut self, run: &DisconnectRun, stuck: bool) {
        self.runs += 1;
        self.stuck |= stuck;
        if !run.was_cut() {
            return;
        }
        self.cut += 1;
        self.begun += usize::from(run.is_begun());
        *self.by.entry(run.disconnect()).or_default() += 1;
        let place = run
            .awaits()
            .first()
            .map_or((u32::MAX, "not seen".to_owned()), |place| (place.line, place.to_string()));
        *self.awaits.entry(place).or_default() += 1;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, cut, begun, .. } = self;
        writeln!(
            f,
            "{cut} of {runs} requests were cut, {begun} of them after a durable write had begun"
        )?;
        if let Some(status) = self.left_alone {
            writeln!(f, "left alone, the request is answered {status}")?;
        }
        if self.stuck {
            f.write_str(
                "a request waited for longer than the `timeout`: what comes after that was not tried\n",
            )?;
        }
        for (by, times) in &self.by {
            writeln!(f, "{times:>6}  {by}")?;
        }
        for ((_, place), times) in &self.awaits {
            writeln!(f, "{times:>6}  {place}")?;
        }
        Ok(())
    }
}

/// The reason why a request is not safe to cut, and where. `Display` prints it with the seed that repeats it.
#[derive(Debug)]
pub struct Failure {
    why: String,
    cut: Option<Box<DisconnectRun>>,
}

impl Failure {
    pub(super) fn at(cut: DisconnectRun, why: String) -> Self {
        Self { why, cut: Some(Box::new(cut)) }
    }

    pub(super) const fn before(why: String) -> Self {
        Self { why, cut: None }
    }

    /// Returns the run that failed; `None` if no request could be run.
    #[must_use]
    pub fn cut(&self) -> Option<&DisconnectRun> {
        self.cut.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        match &self.cut {
            Some(cut) => write!(f, "\n  {cut}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
