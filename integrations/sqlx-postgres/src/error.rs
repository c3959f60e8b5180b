//! The error type, which includes the outcome of the work.

use std::{error, fmt};

use followthrough::Outcome;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// The reason why there is no result.
///
/// [`outcome`](Self::outcome) returns [`Outcome::NotBegun`] only if no change of the work can have landed.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    outcome: Outcome,
}

#[derive(Debug)]
enum Kind {
    Sqlx(sqlx::Error),
    Cancelled,
    Spent,
}

impl Error {
    /// The token fired before anything was sent.
    pub(super) const NOT_SENT: Self = Self { kind: Kind::Cancelled, outcome: Outcome::NotBegun };
    /// An earlier future was cut.
    pub(super) const SPENT: Self = Self { kind: Kind::Spent, outcome: Outcome::NotBegun };

    /// The token fired while the work was in flight.
    pub(super) const fn cancelled(outcome: Outcome) -> Self {
        Self { kind: Kind::Cancelled, outcome }
    }

    pub(super) const fn sqlx(error: sqlx::Error, outcome: Outcome) -> Self {
        Self { kind: Kind::Sqlx(error), outcome }
    }

    /// Makes the error of a commit. Its outcome is `NotBegun` if the server has certainly refused the commit.
    pub(super) fn of_commit(error: sqlx::Error) -> Self {
        let refused = error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
            // A FATAL may come after the work, and 40003 means that the completion is unknown.
            .is_some_and(|error| error.severity() == PgSeverity::Error && error.code() != "40003");
        Self::sqlx(error, if refused { Outcome::NotBegun } else { Outcome::Unknown })
    }

    /// Returns the outcome of the work, `NotBegun` only if that is certain.
    ///
    /// - [`Outcome::NotBegun`]: no change lasts. The work was not sent, or its transaction was never committed.
    /// - [`Outcome::Unknown`]: the work may have landed. Read the data back before you repeat the work.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns whether the token that the client follows ended the work.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self.kind, Kind::Cancelled)
    }

    /// Returns the error of sqlx.
    #[must_use]
    pub const fn as_sqlx(&self) -> Option<&sqlx::Error> {
        match &self.kind {
            Kind::Sqlx(error) => Some(error),
            Kind::Cancelled | Kind::Spent => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Sqlx(error) => write!(f, "{error} (outcome {})", self.outcome),
            Kind::Cancelled => {
                write!(
                    f,
                    "cancelled by the token that the client follows (outcome {})",
                    self.outcome
                )
            }
            Kind::Spent => f.write_str(
                "earlier work on this connection was cut: get another connection with `pool.get()`",
            ),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.kind {
            Kind::Sqlx(error) => Some(error),
            Kind::Cancelled | Kind::Spent => None,
        }
    }
}
