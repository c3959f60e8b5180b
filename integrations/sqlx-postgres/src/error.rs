//! What went wrong, and what is known of the work.

use std::{error, fmt};

use followthrough::Outcome;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Why there is no result.
///
/// [`outcome`](Self::outcome) says what is known of the work. It is [`Outcome::NotBegun`] only if
/// nothing of it can have landed.
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

    /// The token fired while the work was under way.
    pub(super) const fn cancelled(outcome: Outcome) -> Self {
        Self { kind: Kind::Cancelled, outcome }
    }

    pub(super) const fn sqlx(error: sqlx::Error, outcome: Outcome) -> Self {
        Self { kind: Kind::Sqlx(error), outcome }
    }

    /// An error of a commit, which the server may have refused for certain.
    pub(super) fn of_commit(error: sqlx::Error) -> Self {
        let refused = error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
            // A FATAL may come after the work; 40003 says that nobody knows.
            .is_some_and(|error| error.severity() == PgSeverity::Error && error.code() != "40003");
        Self::sqlx(error, if refused { Outcome::NotBegun } else { Outcome::Unknown })
    }

    /// What is known of the work: never that it was rolled back when that is not certain.
    ///
    /// - [`Outcome::NotBegun`]: nothing of it lasts. It was not sent, or its transaction was never
    ///   committed.
    /// - [`Outcome::Unknown`]: it may have landed. Read back before you repeat it.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the token that the client follows ended it.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self.kind, Kind::Cancelled)
    }

    /// The error of sqlx.
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
                write!(f, "cancelled by the token that it follows (outcome {})", self.outcome)
            }
            Kind::Spent => f.write_str(
                "earlier work on this connection was cut: take another one with `pool.get()`",
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
