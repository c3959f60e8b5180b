//! What a connection to a database follows.

use std::sync::Arc;
#[cfg(feature = "sqlx-postgres")]
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    link::LinkedToken,
    request::{self, Commitment},
    run_until::RunUntil,
    token::{DurableToken, RequestToken, ShutdownToken},
};

/// What a connection's `follow` takes: any of this crate's tokens, or a `CancellationToken`.
#[derive(Clone, Debug, Default)]
pub struct Follow(Kind);

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

impl Follow {
    pub(crate) fn is_durable(&self) -> bool {
        match &self.0 {
            Kind::Durable => true,
            Kind::Request(token) => is_held_off(token),
            Kind::Drop | Kind::Raw(_) | Kind::Linked(_) => false,
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        match &self.0 {
            Kind::Drop | Kind::Durable => false,
            Kind::Request(token) => !is_held_off(token) && token.is_cancelled(),
            Kind::Raw(token) => token.is_cancelled(),
            Kind::Linked(token) => token.is_cancelled(),
        }
    }

    /// What remains until its deadline, if it is cut by one.
    #[cfg(feature = "sqlx-postgres")]
    pub(crate) fn remaining(&self) -> Option<Duration> {
        match &self.0 {
            Kind::Request(token) if is_held_off(token) => None,
            Kind::Request(token) => token.left(),
            Kind::Linked(token) => token.remaining(),
            Kind::Drop | Kind::Raw(_) | Kind::Durable => None,
        }
    }

    /// `None` if the token fired first, as `run_until_cancelled` of each token has it.
    pub(crate) async fn until<F: Future>(&self, future: F) -> Option<F::Output> {
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

impl From<&RequestToken> for Follow {
    fn from(token: &RequestToken) -> Self {
        Self(Kind::Request(token.clone()))
    }
}

impl From<&DurableToken> for Follow {
    fn from(_: &DurableToken) -> Self {
        Self(Kind::Durable)
    }
}

impl From<&ShutdownToken> for Follow {
    fn from(token: &ShutdownToken) -> Self {
        Self(Kind::Raw(token.token()))
    }
}

impl From<&LinkedToken> for Follow {
    fn from(token: &LinkedToken) -> Self {
        Self(Kind::Linked(token.clone()))
    }
}

impl From<&CancellationToken> for Follow {
    fn from(token: &CancellationToken) -> Self {
        Self(Kind::Raw(token.clone()))
    }
}
