//! The tower layer for clients.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use tower::{Layer, Service};

use super::{
    body::CallBody,
    call::{Guard, Guarded},
    error::CallError,
    headers::DeadlineHeaders,
    under::Under,
};

/// A layer that puts the calls of a client under the token of the current work.
///
/// The layer takes the token from the request's extensions, or else the token of the handler that makes the call.
/// Past that handler's point of no return this is the durable token, so the call is left to finish. Without a
/// token, in a separate task for example, calls pass through unchanged.
///
/// The errors are [`CallError`]s around the client's own errors. No token limits `poll_ready`, because there is no
/// request yet; a handler's own deadline does.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::convert::Infallible;
/// use followthrough::{Cause, RequestToken, outbound::{CallError, DeadlineHeaders, DeadlineLayer}};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # let network = service_fn(async |_: Request<String>| std::future::pending::<Result<Response<String>, Infallible>>().await);
/// let client = DeadlineLayer::new().forward(DeadlineHeaders::new().grpc_timeout()).layer(network);
///
/// let (token, handle) = RequestToken::new_pair();
/// let mut request = Request::new("hello".to_owned());
/// request.extensions_mut().insert(token); // a handler need not: its own is found
///
/// handle.cancel(Cause::ClientDisconnected);
/// let error = client.oneshot(request).await.expect_err("the client is gone");
/// assert_eq!(error.cancelled().map(|call| call.cause()), Some(Cause::ClientDisconnected));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a layer does nothing until it is put around a client"]
pub struct DeadlineLayer {
    headers: Arc<DeadlineHeaders>,
}

impl DeadlineLayer {
    /// Creates a layer that limits calls and sends no header.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends the remaining time to the callee in these headers.
    pub fn forward(mut self, headers: DeadlineHeaders) -> Self {
        self.headers = Arc::new(headers);
        self
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> DeadlineService<S> {
        DeadlineService { inner, headers: self.headers.clone() }
    }
}

/// A client with a [`DeadlineLayer`] around it.
#[derive(Clone, Debug)]
pub struct DeadlineService<S> {
    inner: S,
    headers: Arc<DeadlineHeaders>,
}

impl<S, B, R> Service<Request<B>> for DeadlineService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<CallBody<R>>;
    type Error = CallError<S::Error>;
    type Future = CallFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(CallError::Failed)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let under = Under::of(request.extensions());
        if let Some(left) = under.as_ref().and_then(Under::left) {
            self.headers.write(request.headers_mut(), left);
        }
        let guard = under.map(|under| Guard::new(under, request.method()));
        CallFuture { call: Guarded::new(guard, || self.inner.call(request)) }
    }
}

pin_project_lite::pin_project! {
    /// A call through a [`DeadlineService`].
    ///
    /// Dropping it drops the call.
    #[must_use = "futures do nothing unless polled"]
    pub struct CallFuture<F> {
        #[pin]
        call: Guarded<F>,
    }
}

impl<R, E, F> Future for CallFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<CallBody<R>>, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answer, guard) = ready!(self.project().call.poll(cx))?;
        Poll::Ready(Ok(answer.map(|body| CallBody::new(body, guard))))
    }
}

impl<F> fmt::Debug for CallFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture").finish_non_exhaustive()
    }
}
