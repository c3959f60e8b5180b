//! A transaction whose end is never guessed.

use std::ops::{Deref, DerefMut};

use super::{
    commit,
    error::Error,
    session::{Lease, Session},
};

/// A transaction, begun by [`Client::transaction`](super::Client::transaction).
///
/// Dropped before its commit was sent, it is rolled back. From then on nobody can take it back: a
/// commit whose future is dropped is logged as WARN with `outcome="unknown"`.
#[derive(Debug)]
#[must_use = "dropped without `commit`, it is rolled back"]
pub struct Transaction<'c> {
    session: &'c mut Session,
}

impl<'c> Transaction<'c> {
    pub(super) async fn begin(session: &'c mut Session) -> Result<Self, Error> {
        // A BEGIN that is cut counts as one that was begun.
        let lease = session.lease()?.in_transaction();
        let result = lease.wait(lease.object()?.batch_execute("BEGIN")).await;
        let begun = lease.end(result);
        session.in_transaction = begun.is_ok();
        begun.map(|()| Self { session })
    }

    /// Commits. `Ok` means that the transaction has landed: one in which a statement has failed,
    /// which `PostgreSQL` would answer with success, is an error here.
    ///
    /// # Errors
    ///
    /// [`Error::outcome`] says what is known: [`Outcome::NotBegun`](followthrough::Outcome::NotBegun) if the
    /// transaction has certainly not landed, [`Outcome::Unknown`](followthrough::Outcome::Unknown) if the
    /// token fired or the connection was lost before the answer came.
    ///
    /// # Cancel safety
    ///
    /// A COMMIT that was sent is not cancelled on the server. If the future is dropped then, the
    /// log says that its outcome is unknown, and what became of it once the server has answered.
    pub async fn commit(self) -> Result<(), Error> {
        let this = self; // it outlives the commit, and finds it done
        commit::commit(&mut *this.session).await
    }

    /// Rolls back, and waits for the answer. Dropping the transaction does not wait.
    ///
    /// # Errors
    ///
    /// If the connection is lost, which rolls back, too.
    pub async fn rollback(self) -> Result<(), Error> {
        let this = self;
        // Whatever has fired: it is what a cancelled transaction needs.
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
