//! Work that is in flight, or that was left behind.

use std::time::Duration;

use serde_core::{Serialize, Serializer};
use tokio::time::Instant;

use crate::{
    handler_policy::{HandlerPolicy, Place},
    seconds::Seconds,
    serialize::serialize,
};

/// A kind of work in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkKind {
    /// A request past its point of no return.
    Durable,
    /// A cooperative body.
    Cooperative,
    /// A request that can be undone: its compensation takes over its entry and its permit.
    Reversible,
    /// A compensation, which undoes a cancelled request.
    Compensation,
    /// A task of [`Lifecycle::track`](crate::Lifecycle::track).
    Tracked,
    /// A background worker.
    Worker,
    /// A request that is not answered yet.
    Request,
    /// A response that is not sent whole.
    Response,
    /// An upgraded connection, such as a WebSocket.
    Upgraded,
}

impl WorkKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Cooperative => "cooperative",
            Self::Reversible => "reversible",
            Self::Compensation => "compensation",
            Self::Tracked => "tracked",
            Self::Worker => "worker",
            Self::Request => "request",
            Self::Response => "response",
            Self::Upgraded => "upgraded",
        }
    }
}

impl Serialize for WorkKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// One piece of work that is in flight, or that was left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlightWork {
    /// The handler's or the worker's name.
    pub handler: String,
    /// The kind of work.
    pub kind: WorkKind,
    /// `file:line` of the durable statement, or of the handler; empty without a policy.
    pub location: String,
    /// How long it has been running, in milliseconds.
    pub age: Duration,
    /// Whether the work goes on after its client has been answered or has left.
    pub detached: bool,
}

serialize!(InFlightWork { handler, kind, location, age: ms, detached });

impl InFlightWork {
    /// Describes a request that the end of the drain cuts with its connection.
    pub(crate) fn cut(
        policy: Option<&'static HandlerPolicy>,
        kind: WorkKind,
        since: Instant,
    ) -> Self {
        Self {
            handler: policy.map_or("(no policy)", HandlerPolicy::name).to_owned(),
            kind,
            location: policy
                .map(|policy| Place { policy, site: None }.to_string())
                .unwrap_or_default(),
            age: since.elapsed(),
            detached: false,
        }
    }
}

impl InFlightWork {
    /// Describes a compensation that was never in flight.
    pub(crate) fn compensation(place: Place) -> Self {
        Self {
            handler: place.policy.name().to_owned(),
            kind: WorkKind::Compensation,
            location: place.to_string(),
            age: Duration::ZERO,
            detached: true,
        }
    }
}

impl std::fmt::Display for InFlightWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind.as_str();
        write!(f, "{} ({kind}, {}", self.handler, Seconds(self.age))?;
        if !self.location.is_empty() {
            write!(f, ", at {}", self.location)?;
        }
        f.write_str(if self.detached { ", detached)" } else { ")" })
    }
}
