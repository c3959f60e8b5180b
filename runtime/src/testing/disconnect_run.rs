//! The description of one run, which the check receives.

use std::fmt;

use http::StatusCode;

use super::{
    answer::Answer,
    point::{Disconnect, Moment, Seed},
};
use crate::{
    handler_policy::{HandlerPolicy, Place},
    service::ShutdownReport,
};

/// An `await` in the source code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Await {
    /// The path of the `async fn`, if the debug information has it. With `debug = "line-tables-only"` it does not.
    pub function: Option<String>,
    /// The file, relative to the workspace if it is within it.
    pub file: String,
    /// The line of the `.await`.
    pub line: u32,
    /// The column, if the debug information has it.
    pub column: Option<u32>,
}

impl fmt::Display for Await {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        match &self.function {
            Some(function) => write!(f, " in `{function}`"),
            None => Ok(()),
        }
    }
}

/// The handler with a policy that was running.
#[derive(Clone, Copy, Debug)]
pub struct HandlerPlace {
    pub(super) place: Place,
}

impl HandlerPlace {
    /// Returns the policy: name, `file:line`, mode.
    #[must_use]
    pub const fn policy(&self) -> &'static HandlerPolicy {
        self.place.policy
    }
}

impl fmt::Display for HandlerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.place.policy;
        write!(f, "`{}` at {}:{}", policy.name(), policy.file(), policy.line())?;
        if self.place.site.is_some() {
            write!(f, ", in its statement at {}", self.place)?;
        }
        Ok(())
    }
}

/// A run: the request, where it was cut, and the state when all work that follows through had ended. `Display`
/// prints all of it.
#[derive(Clone, Debug)]
pub struct DisconnectRun {
    pub(super) request: String,
    pub(super) by: Disconnect,
    pub(super) moment: Moment,
    pub(super) seed: Seed,
    pub(super) whole: bool,
    pub(super) suspension: usize,
    pub(super) awaits: Vec<Await>,
    pub(super) seen: bool,
    /// The `await` that follows, if the current one is not visible.
    pub(super) next: Option<Await>,
    pub(super) handler: Option<HandlerPlace>,
    pub(super) begun: bool,
    pub(super) status: Option<StatusCode>,
    pub(super) retry: Option<Answer>,
    pub(super) report: ShutdownReport,
}

impl DisconnectRun {
    /// Returns whether the client left before the response was complete. The few runs that ended before they
    /// reached their point return `false`; their results have to be right as well.
    #[must_use]
    pub const fn was_cut(&self) -> bool {
        !self.whole
    }

    /// Returns how the client disconnected.
    #[must_use]
    pub const fn disconnect(&self) -> Disconnect {
        self.by
    }

    /// Returns the moment at the `await`.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        self.moment
    }

    /// Returns the `await`s that the request was in, the innermost first. Of several branches that wait at once,
    /// as in a `join!`, it returns those of one branch. Code of dependencies is left out. The slice is empty if no
    /// `await` is visible, for example while the request's own body arrives, if nothing wakes the future, or if
    /// the binary has no debug information.
    #[must_use]
    pub fn awaits(&self) -> &[Await] {
        if self.seen { &self.awaits } else { &[] }
    }

    /// Returns the handler with a policy that was running, or `None` before it began, after it ended, and for a
    /// handler without a policy.
    #[must_use]
    pub const fn handler(&self) -> Option<HandlerPlace> {
        self.handler
    }

    /// Returns whether a durable write had passed its point of no return before the client left. All of its writes
    /// have to be there then. Always `false` without a policy.
    #[must_use]
    pub const fn is_begun(&self) -> bool {
        self.begun
    }

    /// Returns the status that the client received, before it left or in a run that was not cut.
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Returns the answer of the second request, with the same `Idempotency-Key`. `None` without
    /// [`then_retry`](super::Disconnects::then_retry), and in a run whose first request waited for longer than the
    /// `timeout`.
    #[must_use]
    pub const fn retry(&self) -> Option<&Answer> {
        self.retry.as_ref()
    }

    /// Returns the shutdown report of this run, which counts work that has begun, completed and followed through.
    #[must_use]
    pub const fn report(&self) -> &ShutdownReport {
        &self.report
    }

    /// Returns the seed that repeats this run.
    #[must_use]
    pub const fn seed(&self) -> Seed {
        self.seed
    }
}

impl fmt::Display for DisconnectRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.whole {
            write!(
                f,
                "{}, not cut: it ended before it came to the point ({})",
                self.request, self.by
            )?;
        } else {
            let Self { request, by, suspension, moment, .. } = self;
            write!(f, "{request}, {by}, at suspension {suspension}, {moment}")?;
        }
        if !self.whole && !self.seen {
            f.write_str(
                "\n    at an await that cannot be seen: it is not in your code (the body of the request that \
                 arrives, say), nothing wakes it, or the binary has no debug information",
            )?;
        }
        for place in &self.awaits {
            let at = if self.seen && !self.whole { "at" } else { "after" };
            write!(f, "\n    {at} {place}")?;
        }
        if let Some(next) = self.next.as_ref().filter(|_| !self.whole) {
            write!(f, "\n    before {next}")?;
        }
        if let Some(handler) = self.handler {
            write!(f, "\n    handler: {handler}")?;
            f.write_str(if self.begun { ", begun" } else { ", not begun" })?;
        }
        if let Some(status) = self.status {
            write!(f, "\n    answered: {status}")?;
        }
        if let Some(retry) = &self.retry {
            write!(f, "\n    sent again: {retry}")?;
        }
        write!(f, "\n    repeat it: FOLLOWTHROUGH_SEED={} cargo test", self.seed)?;
        // The test harness names each thread after its test.
        match std::thread::current().name() {
            Some(test) if test != "main" => write!(f, " {test}"),
            _ => Ok(()),
        }
    }
}
