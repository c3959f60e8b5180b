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
use tokio::{sync::futures::OwnedNotified, time::Instant};
use tower::{Layer, Service};

use super::{Life, ResponseBody, Tail};
use crate::ambient::{self, Ambient, Scope};

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
        let head = *request.method() == Method::HEAD;
        let http1 = request.version() <= Version::HTTP_11;
        // Under `serve` a router's own layer is the second one, and the first one counts.
        let mut slot = None;
        let mut counted = None;
        if ambient::with(|_| ()).is_none() {
            let mut ambient = Ambient::new(life.clone(), Instant::now());
            ambient.upload = self.layer.by_connection && !request.body().is_end_stream();
            slot = Some(ambient);
            counted = Some(Counted::new(life.clone()));
        }
        let inner = {
            let _scope = slot.is_some().then(|| Scope::enter(&mut slot));
            self.inner.call(request)
        };
        let wakes = !self.layer.by_connection;
        ResponseFuture { inner: Some(inner), request: slot, counted, wakes, wake: None, head, http1 }
    }
}

/// One request in the count of its lifecycle.
pub(crate) struct Counted {
    life: Arc<Life>,
    shard: usize,
}

impl Counted {
    fn new(life: Arc<Life>) -> Self {
        Self { shard: life.request_came(), life }
    }

    fn wake(&self) -> OwnedNotified {
        self.life.wake_of(self.shard).notified_owned()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.life.request_left(self.shard);
    }
}

pin_project_lite::pin_project! {
    /// The future of [`LifecycleService`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        request: Option<Ambient>,
        counted: Option<Counted>,
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
            let cause = request.hung_up_by();
            let _scope = Scope::enter(this.request);
            let first = ambient::settle(cause);
            this.inner.set(None);
            if ambient::with(|request| request.reported) == Some(false) {
                tracing::debug!(
                    target: "followthrough",
                    cause = %first,
                    "client left while no governed handler was running"
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
        let result = loop {
            // A wake-up is asked for before the signals are looked at: an advance between the
            // two is then not missed.
            if *this.wakes && this.wake.is_none() {
                this.wake.set(this.counted.as_ref().map(Counted::wake));
            }
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                panic!("`ResponseFuture` polled after it ended");
            };
            let polled = {
                let _scope = this.request.is_some().then(|| Scope::enter(this.request));
                inner.poll(cx)
            };
            if let Poll::Ready(result) = polled {
                break result;
            }
            let woken = this.wake.as_mut().as_pin_mut().is_some_and(|wake| wake.poll(cx).is_ready());
            if !woken {
                return Poll::Pending;
            }
            this.wake.set(None);
        };
        {
            let _scope = this.request.is_some().then(|| Scope::enter(this.request));
            this.inner.set(None);
        }
        let Some(request) = this.request.take() else {
            return Poll::Ready(result.map(|response| response.map(|b| ResponseBody::new(b, None))));
        };
        let (head, http1, counted) = (*this.head, *this.http1, this.counted.take());
        Poll::Ready(result.map(|response| finish(response, request, head, http1, counted, *this.wakes)))
    }
}

fn finish<B: Body>(
    response: Response<B>,
    request: Ambient,
    head: bool,
    http1: bool,
    counted: Option<Counted>,
    wakes: bool,
) -> Response<ResponseBody<B>> {
    let (mut parts, body) = response.into_parts();
    if request.close && http1 {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let wake = wakes.then(|| counted.as_ref().map(Counted::wake)).flatten();
    let mut tail = Tail::new(request, &parts, &body, head, counted);
    if let (Some(tail), Some(wake)) = (&mut tail, wake) {
        tail.wake_by(wake);
    }
    Response::from_parts(parts, ResponseBody::new(body, tail))
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
