//! Commits, which are proved only by the server's answer.
//!
//! If a statement of the transaction has failed, the server answers COMMIT with success and rolls back. So a
//! SELECT is sent before the COMMIT in the same message, because the SELECT fails in such a transaction. A commit
//! that is answered without an error has landed.

use std::{future::poll_fn, pin::Pin};

use deadpool_postgres::tokio_postgres::{
    Client, Error as PgError, SimpleQueryMessage, SimpleQueryStream,
};
use followthrough::Outcome;
use futures_core::Stream;

use super::{
    error::Error,
    quarantine::{Cut, Quarantine},
    session::Session,
};

/// The server's answer to a commit, as far as it has arrived.
pub(super) struct Answer {
    stream: Pin<Box<SimpleQueryStream>>,
    /// Whether the SELECT has succeeded. A later error ends the transaction.
    selected: bool,
}

impl Answer {
    async fn to(client: &Client) -> Result<Self, PgError> {
        let stream = client.simple_query_raw("SELECT; COMMIT").await?;
        Ok(Self { stream: Box::pin(stream), selected: false })
    }

    async fn next(&mut self) -> Result<bool, PgError> {
        let message = poll_fn(|cx| self.stream.as_mut().poll_next(cx)).await.transpose()?;
        self.selected |= matches!(message, Some(SimpleQueryMessage::CommandComplete(_)));
        Ok(message.is_some())
    }

    pub(super) async fn await_end(mut self) -> Result<(), PgError> {
        while self.next().await? {}
        Ok(())
    }
}

/// A commit in flight. If it is dropped, a task waits for the server's answer.
struct Commit<'s> {
    session: &'s mut Session,
    answer: Option<Answer>,
}

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        tracing::warn!(
            target: "followthrough",
            outcome = Outcome::Unknown.as_str(),
            "a commit was cut while it was under way: it may have landed"
        );
        if let Some(object) = self.session.object.take() {
            // The quarantine ends the transaction if the SELECT has failed.
            let quarantine = Quarantine::new(object, self.session.shared.clone(), false);
            quarantine.begin(Cut::Commit(answer), &self.session.runtime);
        }
    }
}

/// Commits. `Ok` means that the transaction has landed.
pub(super) async fn commit(session: &mut Session) -> Result<(), Error> {
    if session.follow.is_cancelled() {
        session.roll_back_behind();
        return Err(Error::NOT_SENT);
    }
    let object = session.object.as_ref().ok_or(Error::SPENT)?;
    let answer = Answer::to(object).await.map_err(Error::judged)?;
    session.in_transaction = false;
    let follow = session.follow.clone();
    let mut commit = Commit { session, answer: Some(answer) };
    let answer = commit.answer.as_mut().expect("the answer was set above");
    let ended = follow
        .until(async {
            while answer.next().await? {}
            Ok(())
        })
        .await;
    let Some(ended) = ended else { return Err(Error::cancelled(Outcome::Unknown)) };
    let selected = commit.answer.take().is_some_and(|answer| answer.selected);
    if ended.is_err() && !selected {
        commit.session.roll_back_behind();
    }
    ended.map_err(Error::judged)
}
