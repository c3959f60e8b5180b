//! The report of a shutdown that another process printed.

use serde::Deserialize;

/// The fields that are compared with other accounts.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) durable: Durable,
    pub(crate) cancelled: Cancelled,
    pub(crate) abandoned: Vec<serde_json::Value>,
    pub(crate) failed_workers: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Durable {
    pub(crate) begun: usize,
    pub(crate) completed: usize,
    pub(crate) followed_through: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Cancelled {
    pub(crate) client_disconnected: usize,
    pub(crate) deadline_exceeded: usize,
    pub(crate) shutting_down: usize,
    pub(crate) refused: usize,
}

/// The faults as text; empty if the run is good.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Vec<String>);

impl Troubles {
    pub(crate) fn push(&mut self, trouble: impl Into<String>) {
        self.0.push(trouble.into());
    }

    /// Adds a fault unless `so` holds.
    pub(crate) fn require(&mut self, so: bool, trouble: impl FnOnce() -> String) {
        if !so {
            self.0.push(trouble());
        }
    }

    /// Adds a fault unless both accounts agree.
    pub(crate) fn equal(&mut self, one: (&str, usize), other: (&str, usize)) {
        self.require(one.1 == other.1, || {
            format!("{} {}, but {} {}", one.1, one.0, other.1, other.0)
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks the exit code and the report of a shutdown with enough grace.
    pub(crate) fn of_shutdown(&mut self, code: Option<i32>, report: &Report) {
        self.require(code == Some(0), || format!("exit code {code:?}"));
        self.equal(("begun", report.durable.begun), ("completed", report.durable.completed));
        self.require(report.abandoned.is_empty(), || format!("abandoned: {:?}", report.abandoned));
        self.require(report.failed_workers.is_empty(), || {
            format!("failed workers: {:?}", report.failed_workers)
        });
    }
}

impl std::fmt::Display for Troubles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 4;
        if self.is_empty() {
            return f.write_str("ok");
        }
        f.write_str("WRONG: ")?;
        f.write_str(&self.0[..self.0.len().min(SHOWN)].join("; "))?;
        if self.0.len() > SHOWN {
            write!(f, "; and {} more", self.0.len() - SHOWN)?;
        }
        Ok(())
    }
}
