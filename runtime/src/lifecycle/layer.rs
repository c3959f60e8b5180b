//! The wrapper around the service that makes requests known.
//!
//! Invariant: the request is in [`ambient`] whenever the inner future is polled or dropped.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::Body;
use tokio::sync::futures::OwnedNotified;
use tower::{Layer, Service};

use super::{Life, ResponseBody, Tail};
use crate::{
    ambient::{self, Ongoing, Scope},
    cause::Cause,
};

/// Links the requests of any tower service to a [`Lifecycle`](crate::Lifecycle); made by
/// [`Lifecycle::layer`](crate::Lifecycle::layer).
#[derive(Clone, Debug)]
pub struct LifecycleLayer {
    life: Arc<Life>,
    by_connection: bool,
}

impl LifecycleLayer {
    pub(super) const fn new(life: Arc<Life>) -> Self {
        Self { life, by_connection: false }
    }

    /// For servers whose connections wake their requests themselves.
    pub(crate) const fn by_connection(life: Arc<Life>) -> Self {
        Self { life, by_connection: true }
    }
}

impl<S> Layer<S> for LifecycleLayer {
    type Service = LifecycleService<S>;

    fn layer(&self, inner: S) -> LifecycleService<S> {
        LifecycleService { inner, layer: self.clone() }
    }
}

/// The service that [`LifecycleLayer`] makes.
#[derive(Clone, Debug)]
pub struct LifecycleService<S> {
    inner: S,
    layer: LifecycleLayer,
}

impl<S, Req, Res> Service<Request<Req>> for LifecycleService<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    Req: Body,
    Res: Body,
{
    type Response = Response<ResponseBody<Res>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let life = &self.layer.life;
        life.remember_runtime();
        let by_connection = self.layer.by_connection;
        let head = *request.method() == Method::HEAD;
        let http1 = request.version() <= Version::HTTP_11;
        let upload = by_connection && !request.body().is_end_stream();
        ResponseFuture {
            request: Some(Ongoing::received(life, upload)),
            begun: false,
            inner: Some(self.inner.call(request)),
            wakes: !by_connection,
            wake: None,
            head,
            http1,
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`LifecycleService`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        request: Option<Ongoing>,
        begun: bool,
        wakes: bool,
        #[pin]
        wake: Option<OwnedNotified>,
        head: bool,
        http1: bool,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_none() {
                return;
            }
            let Some(request) = this.request.as_ref() else { return };
            let cause = request.life().hung_up_by();
            let _scope = Scope::enter(this.request);
            let first = ambient::settle(cause);
            this.inner.set(None);
            if ambient::with(|request| request.flags.reported) == Some(false) {
                tracing::debug!(
                    target: "followthrough",
                    cause = %first,
                    "request dropped while no governed handler was running"
                );
            }
        }
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    Res: Body,
{
    type Output = Result<Response<ResponseBody<Res>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if !std::mem::replace(this.begun, true) && ambient::is_present() {
            // Under `serve` a router's own layer is the second one, and the first one counts.
            *this.request = None;
        }
        let result = loop {
            // A wake-up is asked for before the signals are looked at: an advance between the
            // two is then not missed.
            if *this.wakes && this.wake.is_none() {
                this.wake.set(this.request.as_ref().and_then(|request| request.wake()));
            }
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                panic!("`ResponseFuture` polled after it ended");
            };
            {
                let _scope = this.request.is_some().then(|| Scope::enter(this.request));
                if let Poll::Ready(result) = inner.poll(cx) {
                    this.inner.set(None);
                    break result;
                }
                // The token of a handler without a runner is fired here.
                if ambient::with(|request| request.is_stopping_unheard()) == Some(true) {
                    ambient::settle(Cause::ShuttingDown);
                    continue;
                }
            }
            let woken =
                this.wake.as_mut().as_pin_mut().is_some_and(|wake| wake.poll(cx).is_ready());
            if !woken {
                return Poll::Pending;
            }
            this.wake.set(None);
        };
        let request = this.request.take();
        if let (Err(_), Some(request)) = (&result, &request) {
            request.finish();
        }
        Poll::Ready(result.map(|mut response| {
            let Some(request) = request else {
                return response.map(|body| ResponseBody::new(body, None));
            };
            if request.flags.close && *this.http1 {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let tail = Tail::new(request, &response, *this.head, *this.wakes);
            response.map(|body| ResponseBody::new(body, tail))
        }))
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
