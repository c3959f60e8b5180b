//! Wraps the service under test to watch one request.
//!
//! The wrapper is inside the lifecycle's layer, where the request's policy is visible. The wrapper never drops the
//! request itself: at the point it stops polling, and the client disconnects.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::extract::Request;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tower::Service;

use super::run::Run;

/// The service under test, for the request of one run.
#[derive(Clone)]
pub(super) struct Watch<S> {
    inner: S,
    run: Arc<Run>,
}

impl<S> Watch<S> {
    pub(super) const fn new(inner: S, run: Arc<Run>) -> Self {
        Self { inner, run }
    }
}

impl<S, B> Service<Request> for Watch<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    B: Body,
{
    type Response = Response<Watched<B>>;
    type Error = Infallible;
    type Future = Watched<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let run = self.run.begins().then(|| self.run.clone());
        Watched { inner: self.inner.call(request), run }
    }
}

pin_project_lite::pin_project! {
    /// A part of the request, the handler or the response body, that is polled until the point.
    pub(super) struct Watched<T> {
        #[pin]
        inner: T,
        // None once the part has ended by itself, and for a retry, which is not cut.
        run: Option<Arc<Run>>,
    }

    impl<T> PinnedDrop for Watched<T> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(run) = this.project().run.take() {
                run.gone.notify_one();
            }
        }
    }
}

impl<F, B> Future for Watched<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body,
{
    type Output = Result<Response<Watched<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = match this.run {
            Some(run) => run.clone().poll(cx, |cx| this.inner.as_mut().poll(cx)),
            None => this.inner.poll(cx),
        };
        let Poll::Ready(Ok(response)) = polled else { return Poll::Pending };
        let run = this.run.take();
        Poll::Ready(Ok(response.map(|body| Watched { inner: body, run })))
    }
}

impl<B: Body> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        match this.run {
            Some(run) => run.clone().poll(cx, |cx| this.inner.as_mut().poll_frame(cx)),
            None => this.inner.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
