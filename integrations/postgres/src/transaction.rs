//! Transactions.

use std::ops::{Deref, DerefMut};

use super::{
    commit,
    error::Error,
    session::{Lease, Session},
};

/// A transaction, begun by [`Client::transaction`](super::Client::transaction).
///
/// A transaction that is dropped before its commit was sent is rolled back. A commit that was sent cannot be
/// undone: if its future is dropped, it is logged at WARN with `outcome="unknown"`.
#[derive(Debug)]
#[must_use = "a transaction that is dropped without `commit` is rolled back"]
pub struct Transaction<'c> {
    session: &'c mut Session,
}

impl<'c> Transaction<'c> {
    pub(super) async fn begin(session: &'c mut Session) -> Result<Self, Error> {
        // A BEGIN that is cut may have begun the transaction.
        let lease = session.lease()?.in_transaction();
        let result = lease.wait(lease.object()?.batch_execute("BEGIN")).await;
        let begun = lease.end(result);
        session.in_transaction = begun.is_ok();
        begun.map(|()| Self { session })
    }

    /// Commits. `Ok` means that the transaction has landed. A transaction in which a statement has failed is an
    /// error here, although `PostgreSQL` answers its COMMIT with success.
    ///
    /// # Errors
    ///
    /// [`Error::outcome`] is [`Outcome::NotBegun`](followthrough::Outcome::NotBegun) if the transaction has
    /// certainly not landed, and [`Outcome::Unknown`](followthrough::Outcome::Unknown) if the token fired or the
    /// connection was lost before the answer came.
    ///
    /// # Cancel safety
    ///
    /// A COMMIT that was sent is not cancelled on the server. If the future is dropped then, the unknown outcome
    /// is logged, and so is the result once the server has answered.
    pub async fn commit(self) -> Result<(), Error> {
        let this = self; // dropped after the commit has cleared `in_transaction`
        commit::commit(&mut *this.session).await
    }

    /// Rolls back and waits for the answer. Dropping the transaction does not wait.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is lost, which also rolls back.
    pub async fn rollback(self) -> Result<(), Error> {
        let this = self;
        // The rollback ignores the token, because a cancelled transaction needs it.
        let lease = Lease::of(&mut *this.session)?;
        let rolled_back = Some(lease.object()?.batch_execute("ROLLBACK").await);
        lease.end(rolled_back)?;
        this.session.in_transaction = false;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.session.in_transaction {
            self.session.roll_back_behind();
        }
    }
}

impl Deref for Transaction<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        self.session
    }
}
