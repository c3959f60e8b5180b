//! The token that a connection to a database follows.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    link::LinkedToken,
    request::{self, Commitment},
    run_until::RunUntil,
    token::{DurableToken, RequestToken, ShutdownToken},
};

/// The token that cuts the statements of a connection: any token of this crate, a linked one, or a
/// `CancellationToken`. The default cuts a statement only when its future is dropped.
///
/// ```
/// use followthrough::{RequestToken, integration::CancelOn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (token, handle) = RequestToken::new_pair();
/// let follows = CancelOn::from(&token);
/// assert_eq!(follows.until(async { 1 }).await, Some(1));
///
/// handle.cancel(followthrough::Cause::ClientDisconnected);
/// assert!(follows.is_cancelled());
/// assert_eq!(follows.until(async { 1 }).await, None);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelOn(Kind);

#[derive(Clone, Debug, Default)]
enum Kind {
    /// Whoever drops a future cuts its query.
    #[default]
    Drop,
    Request(RequestToken),
    Raw(CancellationToken),
    Linked(LinkedToken),
    /// Nothing is cut.
    Durable,
}

impl CancelOn {
    /// Returns whether nothing cuts a statement now: the token is durable, or the running code is past the point of
    /// no return of the request whose token this is.
    pub fn is_durable(&self) -> bool {
        match &self.0 {
            Kind::Durable => true,
            Kind::Request(token) => is_held_off(token),
            Kind::Drop | Kind::Raw(_) | Kind::Linked(_) => false,
        }
    }

    /// Returns whether the token has fired.
    pub fn is_cancelled(&self) -> bool {
        match &self.0 {
            Kind::Drop | Kind::Durable => false,
            Kind::Request(token) => !is_held_off(token) && token.is_cancelled(),
            Kind::Raw(token) => token.is_cancelled(),
            Kind::Linked(token) => token.is_cancelled(),
        }
    }

    /// Returns the time until the deadline that cuts a statement, if one does.
    pub fn remaining(&self) -> Option<Duration> {
        match &self.0 {
            Kind::Request(token) if is_held_off(token) => None,
            Kind::Request(token) => token.left(),
            Kind::Linked(token) => token.remaining(),
            Kind::Drop | Kind::Raw(_) | Kind::Durable => None,
        }
    }

    /// Runs `future` until it ends or the token fires; `None` if the token fired first.
    ///
    /// # Cancel safety
    ///
    /// As `future` itself, which is dropped when the token fires.
    pub async fn until<F: Future>(&self, future: F) -> Option<F::Output> {
        match &self.0 {
            Kind::Drop | Kind::Durable => Some(future.await),
            Kind::Request(token) if is_held_off(token) => Some(future.await),
            Kind::Request(token) => token.run_until_cancelled(future).await,
            Kind::Linked(token) => token.run_until_cancelled(future).await,
            Kind::Raw(token) => {
                RunUntil::new(token.is_cancelled(), token.cancelled(), future).await
            }
        }
    }
}

/// Whether the code that runs is past its request's point of no return, where the request's token
/// ends nothing, although the connection follows it since before.
fn is_held_off(token: &RequestToken) -> bool {
    let held_off = request::with(|request| {
        let body = &request.body;
        let given = || body.given.as_ref().is_some_and(|given| Arc::ptr_eq(given, &token.state));
        body.is_running()
            && body.commitment() == Commitment::Committed
            && (request.is_own(&token.state) || given())
    });
    held_off == Some(true)
}

impl From<&RequestToken> for CancelOn {
    fn from(token: &RequestToken) -> Self {
        Self(Kind::Request(token.clone()))
    }
}

impl From<&DurableToken> for CancelOn {
    fn from(_: &DurableToken) -> Self {
        Self(Kind::Durable)
    }
}

impl From<&ShutdownToken> for CancelOn {
    fn from(token: &ShutdownToken) -> Self {
        Self(Kind::Raw(token.token()))
    }
}

impl From<&LinkedToken> for CancelOn {
    fn from(token: &LinkedToken) -> Self {
        Self(Kind::Linked(token.clone()))
    }
}

impl From<&CancellationToken> for CancelOn {
    fn from(token: &CancellationToken) -> Self {
        Self(Kind::Raw(token.clone()))
    }
}
