//! The cause for which a request was cancelled, and the outcome of its work.

use std::fmt;

use http::StatusCode;

/// The cause of a cancellation. The first cause of a request never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The client closed the connection, reset the stream, or was cut off.
    ClientDisconnected,
    /// The effective deadline passed.
    DeadlineExceeded,
    /// The service is shutting down and the read grace is over.
    ShuttingDown,
    /// A limit was reached: on durable work, of the service or of the handler, or on the memory of uploads.
    LimitReached,
    /// Less time was left than the write's `needs`.
    TimeTooShort,
    /// The bytes of the request's body came too slowly, or not at all.
    BodyReadTimeout,
    /// The store of idempotency keys did not answer.
    KeyStoreUnavailable,
    /// The answer of a keyed write is a stored response, so its handler has no value for a caller.
    AnsweredByKey,
}

impl Cause {
    /// Returns the cause as a stable word, as used in logs and problem details.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientDisconnected => "client_disconnected",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::ShuttingDown => "shutting_down",
            Self::LimitReached => "limit_reached",
            Self::TimeTooShort => "time_too_short",
            Self::BodyReadTimeout => "body_read_timeout",
            Self::KeyStoreUnavailable => "key_store_unavailable",
            Self::AnsweredByKey => "answered_by_key",
        }
    }

    /// Returns the status of the answer to a request whose wait it ended.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::ClientDisconnected => StatusCode::from_u16(499).expect("499 is within 100..=999"),
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::ShuttingDown
            | Self::LimitReached
            | Self::TimeTooShort
            | Self::KeyStoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyReadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::AnsweredByKey => StatusCode::CONFLICT,
        }
    }

    /// The number of causes.
    pub(crate) const COUNT: usize = Self::AnsweredByKey as usize + 1;

    /// Returns the cause of a [`code`](Self::code); `None` for zero and unknown codes.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ClientDisconnected),
            2 => Some(Self::DeadlineExceeded),
            3 => Some(Self::ShuttingDown),
            4 => Some(Self::LimitReached),
            5 => Some(Self::TimeTooShort),
            6 => Some(Self::BodyReadTimeout),
            7 => Some(Self::KeyStoreUnavailable),
            8 => Some(Self::AnsweredByKey),
            _ => None,
        }
    }

    pub(crate) const fn code(self) -> u8 {
        self as u8 + 1
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The outcome of the work of a request that is answered early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// No lasting work was begun.
    NotBegun,
    /// Work was begun and may still land; check before you repeat it.
    Unknown,
    /// The durable work has landed; only the code after it was cut.
    Completed,
}

impl Outcome {
    /// The number of outcomes.
    pub(crate) const COUNT: usize = Self::Completed as usize + 1;

    /// Returns the outcome as a stable word, as used in logs and problem details.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotBegun => "not_begun",
            Self::Unknown => "unknown",
            Self::Completed => "completed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The fate of work whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The work goes on.
    GoesOn,
    /// The work was dropped where it was, and may be repeated.
    Dropped,
    /// The work was dropped, and its compensation runs.
    Undone,
    /// Other work of the same request goes on without this part of it.
    Elsewhere,
}

impl Fate {
    /// The number of fates.
    pub(crate) const COUNT: usize = Self::Elsewhere as usize + 1;
}

/// A request that was answered without its handler's own value.
///
/// A `Cancelled` is a response, the one that the runtime gives for its cause, so `?` returns it from a handler that calls
/// another one. An error type of one's own delegates to it:
///
/// ```
/// use axum::response::{IntoResponse, Response};
/// use followthrough::{Cancelled, cancellable, durable_write};
///
/// enum AppError {
///     Cancelled(Cancelled),
///     SoldOut,
/// }
///
/// impl From<Cancelled> for AppError {
///     fn from(cancelled: Cancelled) -> Self {
///         Self::Cancelled(cancelled)
///     }
/// }
///
/// impl IntoResponse for AppError {
///     fn into_response(self) -> Response {
///         match self {
///             Self::Cancelled(cancelled) => cancelled.into_response(),
///             Self::SoldOut => http::StatusCode::CONFLICT.into_response(),
///         }
///     }
/// }
///
/// #[durable_write(internal)]
/// async fn insert(left: u32) -> Option<u32> {
///     left.checked_sub(1)
/// }
///
/// #[cancellable(idempotent_write)]
/// async fn order() -> Result<String, AppError> {
///     let left = insert(7).await.into_result()?.ok_or(AppError::SoldOut)?;
///     Ok(format!("{left} left"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(order().await.into_response().status(), 200);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled {
    cause: Cause,
    ended_by: Cause,
    outcome: Outcome,
    fate: Fate,
}

impl Cancelled {
    pub(crate) const fn new(cause: Cause, ended_by: Cause, outcome: Outcome) -> Self {
        Self { cause, ended_by, outcome, fate: Fate::GoesOn }
    }

    pub(crate) const fn with(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// Sets the outcome and the fate of work that was cut.
    pub(crate) const fn cut(self, (outcome, fate): (Outcome, Fate)) -> Self {
        Self { outcome, fate, ..self }
    }

    pub(crate) const fn fate(self) -> Fate {
        self.fate
    }

    /// Sets the outcome to unknown, because other work of the same request may land, and the answer must not
    /// invite a retry.
    pub(crate) const fn beside_work_that_goes_on(self) -> Self {
        self.cut((Outcome::Unknown, Fate::Elsewhere))
    }

    /// Returns the first cause of the request.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// Returns the cause that ended the wait, which decides the status and the log level. It differs from the
    /// first cause if that one could not end the wait: a write that outlived *stopping*
    /// and then ran into its deadline has the cause `ShuttingDown` and the status 504.
    pub(crate) const fn ended_by(self) -> Cause {
        self.ended_by
    }

    /// Returns the outcome of the work.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the status of the answer: 499 for a disconnect, 504 for a deadline, 408 for a request body that did
    /// not come in time, 503 otherwise. If other work of the same request may land, it is 504 instead of 503.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match (self.ended_by.status(), self.fate) {
            (StatusCode::SERVICE_UNAVAILABLE, Fate::Elsewhere) => StatusCode::GATEWAY_TIMEOUT,
            (status, _) => status,
        }
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request cancelled: {} (outcome {})", self.cause, self.outcome)
    }
}

impl std::error::Error for Cancelled {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for cause in [
            Cause::ClientDisconnected,
            Cause::DeadlineExceeded,
            Cause::ShuttingDown,
            Cause::LimitReached,
            Cause::TimeTooShort,
            Cause::BodyReadTimeout,
            Cause::KeyStoreUnavailable,
            Cause::AnsweredByKey,
        ] {
            assert_eq!(Cause::from_code(cause.code()), Some(cause));
        }
        assert_eq!(Cause::from_code(0), None);
    }

    #[test]
    fn the_status_follows_from_what_ended_the_wait() {
        let late = Cancelled::new(Cause::ShuttingDown, Cause::DeadlineExceeded, Outcome::Unknown);
        assert_eq!(late.status(), 504);
        assert_eq!(late.cause(), Cause::ShuttingDown);
    }
}
