//! The token that a database connection follows.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    link::LinkedToken,
    request::{self, Commitment},
    run_until::RunUntil,
    token::{AnyToken, DurableToken, RequestToken, ShutdownToken},
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
pub struct CancelOn(Option<AnyToken>);

impl CancelOn {
    /// Returns whether no token may cut a statement now: the token is durable, or it is the token of a request
    /// whose running code is past the point of no return.
    pub fn is_durable(&self) -> bool {
        match &self.0 {
            Some(AnyToken::Durable(_)) => true,
            Some(AnyToken::Request(token)) => is_held_off(token),
            _ => false,
        }
    }

    /// Returns the token that may cut a statement now.
    fn token(&self) -> Option<&AnyToken> {
        self.0.as_ref().filter(|_| !self.is_durable())
    }

    /// Returns whether the token has fired.
    pub fn is_cancelled(&self) -> bool {
        self.token().is_some_and(|token| token.cause().is_some())
    }

    /// Returns the time until the deadline that cuts a statement, if there is one.
    pub fn remaining(&self) -> Option<Duration> {
        self.token()?.left()
    }

    /// Runs `future` until it ends or the token fires; `None` if the token fired first.
    ///
    /// # Cancel safety
    ///
    /// The same as that of `future`, which is dropped when the token fires.
    pub async fn until<F: Future>(&self, future: F) -> Option<F::Output> {
        match self.token() {
            None => Some(future.await),
            Some(token) => RunUntil::new(token.cause().is_some(), token.cancelled(), future).await,
        }
    }
}

/// Returns whether the running code is past its request's point of no return and `token` is that request's. The
/// connection may have followed the token since before that point.
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
        Self(Some(AnyToken::Request(token.clone())))
    }
}

impl From<&DurableToken> for CancelOn {
    fn from(token: &DurableToken) -> Self {
        Self(Some(AnyToken::Durable(token.clone())))
    }
}

impl From<&ShutdownToken> for CancelOn {
    fn from(token: &ShutdownToken) -> Self {
        Self(Some(AnyToken::Shutdown(token.clone())))
    }
}

impl From<&LinkedToken> for CancelOn {
    fn from(token: &LinkedToken) -> Self {
        Self(Some(AnyToken::Linked(token.clone())))
    }
}

impl From<&CancellationToken> for CancelOn {
    fn from(token: &CancellationToken) -> Self {
        Self(Some(AnyToken::Raw(token.clone())))
    }
}
