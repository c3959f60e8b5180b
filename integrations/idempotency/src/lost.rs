//! The end of a transaction whose claim is lost.
//!
//! Invariants:
//!
//! 1. A deferred constraint is violated, because a failed statement alone would not do: `SQLite` commits the statements
//!    before it, and sqlx reports a commit that `PostgreSQL` answers with `ROLLBACK` as a success.
//! 2. The row that violates it is outside of sqlx's savepoints, so that none of them rolls it back.

use sqlx::AssertSqlSafe;

/// Returns the statements that let the commit of the transaction fail. `depth` is the number of sqlx's transactions in
/// one another, of which all but the outermost are savepoints.
pub(crate) fn fail_commit(depth: usize) -> AssertSqlSafe<String> {
    // The savepoints exist again afterwards, because sqlx releases them or rolls back to them.
    let release = if depth > 1 { "RELEASE SAVEPOINT _sqlx_savepoint_1;" } else { "" };
    let savepoints = savepoints(depth);
    AssertSqlSafe(format!(
        "{release} INSERT INTO followthrough_lost_claims DEFAULT VALUES; {savepoints}"
    ))
}

/// Returns the statements that empty the transaction, for a database that checks no foreign keys.
#[cfg(feature = "sqlite")]
pub(crate) fn empty(depth: usize) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("ROLLBACK; BEGIN; {}", savepoints(depth)))
}

fn savepoints(depth: usize) -> String {
    let each = (1..depth).map(|number| format!("SAVEPOINT _sqlx_savepoint_{number};"));
    each.collect::<Vec<_>>().concat()
}
