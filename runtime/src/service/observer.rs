//! The events of a service that its observers are told.

use std::{sync::Arc, time::Duration};

use http::{Method, Version};

#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
use super::outbox::OutboxCounts;
use super::{in_flight::Ended, phase::Phase};
use crate::{
    cause::{Cause, Outcome},
    handler_policy::{HandlerPolicy, Place},
};

/// The label of requests that reached no handler with a policy.
pub(crate) const NO_HANDLER: &str = "(no policy)";

/// Is told of what happens in a service, for metrics, traces and audits;
/// [`LifecycleBuilder::observer`](crate::LifecycleBuilder::observer) adds one. Each method does nothing unless it is
/// overridden.
///
/// All observers of a lifecycle are called on one thread of their own, one event after the other. So an observer that
/// blocks or panics harms no request. A call that takes a second or more is logged, and so is a panic. While an
/// observer is blocked, up to 65,536 events wait for it; further events are dropped, counted in
/// [`Counts::observers`](crate::report::Counts::observers) and logged. The end of a shutdown waits up to half a
/// second for the observers to take the last events, unless its runtime is blocked or gone, or connections were open
/// to the end of the grace.
///
/// An observer must not own a [`Lifecycle`](crate::Lifecycle) that it observes, because neither would be dropped.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use followthrough::{Lifecycle, observe::{Observer, RequestEnded}};
///
/// #[derive(Default)]
/// struct Hangups(AtomicU64);
///
/// impl Observer for Hangups {
///     fn request_ended(&self, request: &RequestEnded) {
///         if request.status == 499 {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// let lifecycle = Lifecycle::builder().observer(Hangups::default()).build()?;
/// # Ok::<(), followthrough::BuildError>(())
/// ```
pub trait Observer: Send + Sync + 'static {
    /// Called once for each request, after its response has ended or its client has left. Under
    /// [`Lifecycle::layer`](crate::Lifecycle::layer) that is the head of the response, unless the handler has a token or
    /// is a stream. A request that [`Lifecycle::metrics`](crate::Lifecycle::metrics) answers is left out.
    fn request_ended(&self, request: &RequestEnded) {
        let _ = request;
    }

    /// Called once for each piece of durable work, after it has ended.
    fn work_ended(&self, work: &WorkEnded) {
        let _ = work;
    }

    /// Called when a relay of an outbox has settled messages, once for each batch.
    fn messages_settled(&self, messages: &MessagesSettled) {
        let _ = messages;
    }

    /// Called when the service advances to a phase of its shutdown. A phase that takes no time may be left out.
    fn phase_began(&self, phase: Phase) {
        let _ = phase;
    }
}

/// A request that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestEnded {
    /// The handler; `None` if the request reached none with a policy. In a plain [`axum::Router`] an exempt handler
    /// is not known either.
    pub handler: Option<&'static HandlerPolicy>,
    /// The route as the router has it, such as `/orders/{id}`. This needs the feature `matched-path` and a
    /// [`followthrough::Router`](crate::Router).
    pub route: Option<Arc<str>>,
    /// The method.
    pub method: Method,
    /// The version of HTTP, as the server has it.
    pub version: Version,
    /// The status of the answer: 499 if the client left before it, and 500 if a panic or an error of a service took
    /// its place.
    pub status: u16,
    /// The cause that ended the request early, if one did. A stream whose head was sent keeps its status, and so does
    /// an answer that middleware or a caller gave after a handler had been cancelled.
    pub cause: Option<Cause>,
    /// The outcome of the work of a request that ended early.
    pub outcome: Option<Outcome>,
    /// The time from the head of the request to its end.
    pub elapsed: Duration,
    /// The time from the head of the request to its deadline, if it had one.
    pub deadline: Option<Duration>,
    /// Whether a panic ended the request.
    pub panicked: bool,
}

impl RequestEnded {
    /// Returns the name of the handler as a label of metrics: `(no policy)` if the request reached none with a policy.
    #[must_use]
    pub fn handler_name(&self) -> &'static str {
        self.handler.map_or(NO_HANDLER, HandlerPolicy::name)
    }

    /// Returns the method as a label of metrics: `_OTHER` unless it is a standard one, because a client can invent
    /// others.
    #[must_use]
    pub fn method_name(&self) -> &'static str {
        method_name(&self.method)
    }
}

/// Durable work that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkEnded {
    /// The handler.
    pub handler: &'static HandlerPolicy,
    /// How the work ended.
    pub ended: Ended,
    /// The time from its begin, at the point of no return, to its end.
    pub elapsed: Duration,
    /// The time for which it went on without its request; `None` if its client waited for it to the end.
    pub detached: Option<Duration>,
    pub(super) place: Place,
}

impl WorkEnded {
    /// Returns `file:line` of the durable statement, or of the handler.
    #[must_use]
    pub fn location(&self) -> String {
        self.place.to_string()
    }
}

/// Messages that a relay of an outbox has settled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MessagesSettled {
    /// The name of the relay.
    pub relay: Arc<str>,
    /// Messages that the broker has confirmed.
    pub sent: u64,
    /// Attempts that failed and will be repeated.
    pub retried: u64,
    /// Messages that were parked, for an operator to decide.
    pub parked: u64,
}

impl MessagesSettled {
    /// Returns each number with the value of the label `result` in metrics.
    #[cfg(any(feature = "metrics", feature = "opentelemetry"))]
    pub(crate) const fn by_result(&self) -> [(&'static str, u64); 3] {
        let Self { sent, retried, parked, .. } = *self;
        OutboxCounts { sent, retried, parked }.by_result()
    }
}

/// Returns the method as a label. Others than the standard ones share one label.
pub(super) fn method_name(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    const NAMES: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.iter().position(|known| known == method).map_or("_OTHER", |at| NAMES[at])
}
