//! The request extension by which another server reports that a client has left.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A request extension by which any server tells [`Lifecycle::layer`](crate::Lifecycle::layer)
/// that the client of a request has left.
///
/// A server that drops the future of a request whose client has left does not need it. A server that goes on
/// polling, because it runs requests as tasks of their own or does not serve sockets, puts a token into the
/// request and cancels it. Then the request's token fires with
/// [`Cause::ClientDisconnected`](crate::Cause::ClientDisconnected), a cancellable handler ends, a durable one
/// follows through, and a streamed response ends.
///
/// # Examples
///
/// ```
/// use followthrough::{ClientGone, Lifecycle, RequestToken, cancellable};
/// use tokio_util::sync::CancellationToken;
/// use tower::ServiceExt;
/// # use axum::{Router, body::Body, http::Request, routing::get};
///
/// #[cancellable(read)]
/// async fn wait(token: RequestToken) -> &'static str {
///     token.cancelled().await;
///     std::future::pending().await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let lifecycle = Lifecycle::builder().build().unwrap();
/// let app: Router = Router::new().route("/", get(wait)).layer(lifecycle.layer());
///
/// let gone = CancellationToken::new();
/// let mut request = Request::new(Body::empty());
/// request.extensions_mut().insert(ClientGone::new(gone.clone()));
/// let answer = tokio::spawn(app.oneshot(request));
///
/// gone.cancel(); // the server has seen the connection end
/// assert_eq!(answer.await.unwrap().unwrap().status(), 499);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientGone(CancellationToken);

impl ClientGone {
    /// Makes the extension. The server cancels `token` when the client has left.
    #[must_use]
    pub const fn new(token: CancellationToken) -> Self {
        Self(token)
    }

    pub(crate) fn wait(self) -> Gone {
        Gone { fired: Box::pin(self.0.clone().cancelled_owned()), token: self.0 }
    }
}

impl From<CancellationToken> for ClientGone {
    fn from(token: CancellationToken) -> Self {
        Self::new(token)
    }
}

/// Waits until the client has left.
pub(crate) struct Gone {
    token: CancellationToken,
    fired: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Gone {
    pub(crate) fn has_fired(&self) -> bool {
        self.token.is_cancelled()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.fired.as_mut().poll(cx)
    }
}
