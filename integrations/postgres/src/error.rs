//! The error type, which includes the outcome of the work.

use std::{error, fmt};

use deadpool_postgres::{
    PoolError,
    tokio_postgres::{
        self,
        error::{DbError, Severity, SqlState},
    },
};
use followthrough::Outcome;

/// The reason why there is no result.
///
/// [`outcome`](Self::outcome) returns [`Outcome::NotBegun`] only if no change of the statement or commit can have
/// landed.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    outcome: Outcome,
}

#[derive(Debug)]
enum Kind {
    Pool(PoolError),
    Postgres(tokio_postgres::Error),
    Cancelled,
    Spent,
}

impl Error {
    /// The token fired before anything was sent.
    pub(super) const NOT_SENT: Self = Self { kind: Kind::Cancelled, outcome: Outcome::NotBegun };
    /// An earlier future was cut.
    pub(super) const SPENT: Self = Self { kind: Kind::Spent, outcome: Outcome::NotBegun };

    pub(super) const fn pool(error: PoolError) -> Self {
        Self { kind: Kind::Pool(error), outcome: Outcome::NotBegun }
    }

    /// The token fired while the statement ran.
    pub(super) const fn cancelled(outcome: Outcome) -> Self {
        Self { kind: Kind::Cancelled, outcome }
    }

    pub(super) const fn postgres(error: tokio_postgres::Error, outcome: Outcome) -> Self {
        Self { kind: Kind::Postgres(error), outcome }
    }

    /// Makes the error of one statement or commit. Its outcome is `NotBegun` if the server has certainly rolled
    /// back.
    pub(super) fn judged(error: tokio_postgres::Error) -> Self {
        let undone = error.as_db_error().is_some_and(is_undone);
        Self::postgres(error, if undone { Outcome::NotBegun } else { Outcome::Unknown })
    }

    /// Returns the outcome of the work, `NotBegun` only if that is certain.
    ///
    /// - [`Outcome::NotBegun`]: no change lasts. The work was not sent, the server refused it, or its transaction
    ///   was never committed. Commits inside a procedure are not covered.
    /// - [`Outcome::Unknown`]: the work was sent and no answer came. Read the data back before you repeat the
    ///   work.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns whether the token that the client follows ended the work.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self.kind, Kind::Cancelled)
    }

    /// Returns the error of the server or of the connection to it.
    #[must_use]
    pub const fn as_postgres(&self) -> Option<&tokio_postgres::Error> {
        match &self.kind {
            Kind::Postgres(error) | Kind::Pool(PoolError::Backend(error)) => Some(error),
            Kind::Pool(_) | Kind::Cancelled | Kind::Spent => None,
        }
    }
}

/// Returns whether the error means that no change lasts: an ERROR rolls its statement back, while a FATAL may come
/// after the work.
pub(super) fn is_undone(error: &DbError) -> bool {
    error.parsed_severity() == Some(Severity::Error)
        && *error.code() != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Pool(error) => write!(f, "no connection: {error}"),
            Kind::Postgres(error) => write!(f, "{error} (outcome {})", self.outcome),
            Kind::Cancelled => {
                write!(f, "cancelled by the token that the client follows (outcome {})", self.outcome)
            }
            Kind::Spent => f.write_str(
                "an earlier query on this connection was cut: get another connection with `pool.get()`",
            ),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.kind {
            Kind::Pool(error) => Some(error),
            Kind::Postgres(error) => Some(error),
            Kind::Cancelled | Kind::Spent => None,
        }
    }
}
