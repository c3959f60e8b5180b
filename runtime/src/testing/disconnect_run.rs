//! What a check is told.

use std::fmt;

use http::StatusCode;

use super::point::{Disconnect, Moment, Seed};
use crate::{
    handler_policy::{HandlerPolicy, Place},
    service::ShutdownReport,
};

/// An `await` in the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Await {
    /// The path of the `async fn`, if the debug information has it: `debug = "line-tables-only"` has not.
    pub function: Option<String>,
    /// Its file, from the working directory if it is within it.
    pub file: String,
    /// The line of the `.await`.
    pub line: u32,
    /// Its column, if the compiler left it in the debug information.
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
    /// Its policy: name, `file:line`, mode.
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

/// One run: the request, where it was cut, and what was left when everything that follows through had
/// ended. `Display` says all of it.
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
    /// The one that comes after it, if it is not seen.
    pub(super) next: Option<Await>,
    pub(super) handler: Option<HandlerPlace>,
    pub(super) begun: bool,
    pub(super) status: Option<StatusCode>,
    pub(super) report: ShutdownReport,
}

impl DisconnectRun {
    /// Whether the client left before the response was whole. `false` for the few runs that ended before
    /// they came to their point: what they did has to be right, too.
    #[must_use]
    pub const fn was_cut(&self) -> bool {
        !self.whole
    }

    /// How the client went away.
    #[must_use]
    pub const fn disconnect(&self) -> Disconnect {
        self.by
    }

    /// When, at the `await`.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        self.moment
    }

    /// The `await`s that the request was in, the innermost first; of several that wait at once, as in a
    /// `join!`, those of one. Code of dependencies is left out. None if nothing can be seen: the request's own
    /// body arrives, say, nothing wakes the future, or the binary has no debug information.
    #[must_use]
    pub fn awaits(&self) -> &[Await] {
        if self.seen { &self.awaits } else { &[] }
    }

    /// The handler with a policy that was running; none before it began, after it ended, and for one
    /// without a policy.
    #[must_use]
    pub const fn handler(&self) -> Option<HandlerPlace> {
        self.handler
    }

    /// Whether a durable write had begun, that is passed its point of no return, before the client left:
    /// what it writes has to be there, whole. Always `false` without a policy.
    #[must_use]
    pub const fn is_begun(&self) -> bool {
        self.begun
    }

    /// The status that the client got: before it left, or of a run that was not cut.
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// What the runtime counted in this run: begun, completed, followed through.
    #[must_use]
    pub const fn report(&self) -> &ShutdownReport {
        &self.report
    }

    /// What repeats this run.
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
        write!(f, "\n    repeat it: FOLLOWTHROUGH_SEED={} cargo test", self.seed)?;
        // The runner of tests names its threads after them.
        match std::thread::current().name() {
            Some(test) if test != "main" => write!(f, " {test}"),
            _ => Ok(()),
        }
    }
}
