//! A token of any kind.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{DurableToken, RequestToken, ShutdownToken};
use crate::{cause::Cause, link::LinkedToken};

/// A token of any kind.
///
/// tokio-util's token has no cause and counts as a client that left. So does a linked token, unless a deadline of the
/// link has fired it.
#[derive(Clone, Debug)]
pub(crate) enum AnyToken {
    Request(RequestToken),
    Durable(DurableToken),
    Shutdown(ShutdownToken),
    Linked(LinkedToken),
    Raw(CancellationToken),
}

impl AnyToken {
    /// Returns the cause, if the token has fired.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match self {
            Self::Request(token) => token.cause(),
            Self::Durable(token) => token.cause(),
            Self::Shutdown(token) => token.cause(),
            Self::Linked(token) => token.cause(),
            Self::Raw(token) => token.is_cancelled().then_some(Cause::ClientDisconnected),
        }
    }

    /// Waits until the token fires, and returns the cause.
    pub(crate) async fn cancelled(&self) -> Cause {
        match self {
            Self::Request(token) => token.cancelled().await,
            Self::Durable(token) => token.cancelled().await,
            Self::Shutdown(token) => token.cancelled().await,
            Self::Linked(token) => {
                token.cancelled().await;
                token.cause().unwrap_or(Cause::ClientDisconnected)
            }
            Self::Raw(token) => {
                token.cancelled().await;
                Cause::ClientDisconnected
            }
        }
    }

    /// Returns the time left of a deadline that bounds the work. The end of the grace bounds the process and not
    /// the work, so a durable token and a shutdown token have no such deadline.
    pub(crate) fn left(&self) -> Option<Duration> {
        match self {
            Self::Request(token) => token.left(),
            Self::Linked(token) => token.remaining(),
            Self::Durable(_) | Self::Shutdown(_) | Self::Raw(_) => None,
        }
    }
}
