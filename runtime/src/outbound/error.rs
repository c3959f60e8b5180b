//! The errors of calls.

use std::{error::Error, fmt};

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::{
    cause::{Cause, Outcome},
    escaped::Escaped,
    problem,
    repeated::Event,
    request,
    service::ServiceState,
};

/// The reason why a call has no response: it was cancelled, or it failed.
///
/// # As a response
///
/// A handler may return it. If a call was cut past the handler's point of no return, the response has the outcome
/// `unknown`, because the work before the call stands. Do not keep the error of an earlier call until after a
/// durable statement, because its outcome does not include that statement.
///
/// | error | answer |
/// |---|---|
/// | cancelled, `deadline_exceeded` | 504 |
/// | cancelled, `client_disconnected` | 499, which no client sees |
/// | cancelled, `shutting_down`, `not_begun` | 503 with `Retry-After` |
/// | cancelled, `shutting_down`, `unknown` | 504, because what may land must not be repeated |
/// | failed | 502, without the error, which is logged at WARN |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError<E> {
    /// The token fired, or its deadline passed.
    Cancelled(CancelledCall),
    /// The client failed, with this error.
    Failed(E),
}

impl<E> CallError<E> {
    /// Returns the cancellation, if the call was cancelled.
    pub const fn cancelled(&self) -> Option<CancelledCall> {
        match self {
            Self::Cancelled(cancelled) => Some(*cancelled),
            Self::Failed(_) => None,
        }
    }
}

impl<E> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled(_) => "the call was cancelled",
            Self::Failed(_) => "the call failed",
        })
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Cancelled(cancelled) => Some(cancelled),
            Self::Failed(error) => Some(error),
        }
    }
}

impl<E: Error + 'static> IntoResponse for CallError<E> {
    fn into_response(self) -> Response {
        match self {
            Self::Cancelled(cancelled) => cancelled.into_response(),
            Self::Failed(error) => {
                log(&error);
                problem::failed_call()
            }
        }
    }
}

/// Logs the error of a call and its sources.
fn log(error: &(dyn Error + 'static)) {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        said.push_str(": ");
        said.push_str(&error.to_string());
        source = error.source();
    }
    let events = request::with(|request| request.life().events.of(Event::CallFailed));
    let events = events.unwrap_or_else(|| ServiceState::unlinked().events.of(Event::CallFailed));
    events.note(move |count| {
        tracing::warn!(
            target: "followthrough",
            error = %Escaped(said),
            count,
            "a call to another service failed"
        );
    });
}

/// A call that was ended by its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelledCall {
    cause: Cause,
    outcome: Outcome,
    past: bool,
}

impl CancelledCall {
    pub(super) const fn new(cause: Cause, outcome: Outcome, past: bool) -> Self {
        Self { cause, outcome, past }
    }

    /// Returns the cause that ended the call.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// Returns the outcome of the call: [`NotBegun`](Outcome::NotBegun) if the client was never called, or if the
    /// method is safe (GET, HEAD, OPTIONS, TRACE) and so asks for no lasting change; [`Unknown`](Outcome::Unknown)
    /// otherwise.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl fmt::Display for CancelledCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call cancelled: {} (outcome {})", self.cause, self.outcome)
    }
}

impl Error for CancelledCall {}

impl IntoResponse for CancelledCall {
    fn into_response(self) -> Response {
        let outcome = if self.past { Outcome::Unknown } else { self.outcome };
        // Never 503 for work that may land (law 8).
        let status = match self.cause {
            Cause::ShuttingDown if outcome != Outcome::NotBegun => StatusCode::GATEWAY_TIMEOUT,
            cause => cause.status(),
        };
        problem::cancelled_call(status, self.cause, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_kept() {
        let error = CallError::Failed(std::io::Error::other("refused"));
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("refused"));
        let cancelled = CancelledCall::new(Cause::DeadlineExceeded, Outcome::NotBegun, false);
        let error = CallError::<std::io::Error>::Cancelled(cancelled);
        let source = error.source().and_then(|source| source.downcast_ref::<CancelledCall>());
        assert_eq!(source, Some(&cancelled));
        assert_eq!(cancelled.to_string(), "call cancelled: deadline_exceeded (outcome not_begun)");
    }

    #[test]
    fn what_may_land_is_never_answered_with_try_again() {
        for (cause, outcome, past, status) in [
            (Cause::DeadlineExceeded, Outcome::NotBegun, false, 504),
            (Cause::ClientDisconnected, Outcome::Unknown, false, 499),
            (Cause::ShuttingDown, Outcome::NotBegun, false, 503),
            (Cause::ShuttingDown, Outcome::NotBegun, true, 504),
            (Cause::ShuttingDown, Outcome::Unknown, false, 504),
        ] {
            let answer = CancelledCall::new(cause, outcome, past).into_response();
            assert_eq!(answer.status(), status, "{cause} {outcome} {past}");
            let retry = answer.headers().contains_key("retry-after");
            assert_eq!(retry, status == 503, "{cause} {outcome} {past}");
        }
    }
}
