//! What went wrong, and what is known of the work.

use std::{error, fmt};

use deadpool_postgres::{
    PoolError,
    tokio_postgres::{
        self,
        error::{DbError, Severity, SqlState},
    },
};
use followthrough::Outcome;

/// Why there is no result.
///
/// [`outcome`](Self::outcome) says what is known of the statement or commit. It is
/// [`Outcome::NotBegun`] only if nothing of it can have landed.
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

    /// An error of one statement or commit, which the server may have taken back for certain.
    pub(super) fn judged(error: tokio_postgres::Error) -> Self {
        let undone = error.as_db_error().is_some_and(is_undone);
        Self::postgres(error, if undone { Outcome::NotBegun } else { Outcome::Unknown })
    }

    /// What is known of the work: never that it was rolled back when that is not certain.
    ///
    /// - [`Outcome::NotBegun`]: nothing of it lasts. It was not sent, the server refused it, or its
    ///   transaction was never committed. What a procedure commits by itself is beyond this.
    /// - [`Outcome::Unknown`]: it was sent and no answer came. Read back before you repeat it.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the token that the client follows ended it.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self.kind, Kind::Cancelled)
    }

    /// The error of the server or of the connection to it.
    #[must_use]
    pub const fn as_postgres(&self) -> Option<&tokio_postgres::Error> {
        match &self.kind {
            Kind::Postgres(error) | Kind::Pool(PoolError::Backend(error)) => Some(error),
            Kind::Pool(_) | Kind::Cancelled | Kind::Spent => None,
        }
    }
}

/// An ERROR ends its statement and leaves nothing of it; a FATAL may come after the work.
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
                write!(f, "cancelled by the token that it follows (outcome {})", self.outcome)
            }
            Kind::Spent => f.write_str(
                "an earlier query of this connection was cut: take another one with `pool.get()`",
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
