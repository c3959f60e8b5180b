//! The wrapper around the service that makes requests known.
//!
//! Invariant: the request is in [`ambient`] whenever the inner future is polled or dropped.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use tokio::sync::futures::OwnedNotified;
use tower::{Layer, Service};

use super::{
    ClientGone, LastEvent, Life, Phase, ResponseBody, Tail, Work, WorkKind, client_gone::Gone,
};
use crate::{
    ambient::{self, Ongoing, Scope},
    cause::Cause,
    serve::{OnConnection, Upgraded},
};

/// Links the requests of any tower service to a [`Lifecycle`](crate::Lifecycle); made by
/// [`Lifecycle::layer`](crate::Lifecycle::layer).
#[derive(Clone, Debug)]
pub struct LifecycleLayer {
    life: Arc<Life>,
    /// Nobody else wakes the requests when the phase advances.
    wakes: bool,
}

impl LifecycleLayer {
    pub(super) const fn new(life: Arc<Life>) -> Self {
        Self { life, wakes: true }
    }

    /// For servers whose connections wake their requests themselves.
    pub(crate) const fn by_connection(life: Arc<Life>) -> Self {
        Self { life, wakes: false }
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

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let LifecycleLayer { life, wakes } = &self.layer;
        life.remember_runtime();
        let gone = if *wakes { request.extensions_mut().remove() } else { None };
        let gone = gone.map(ClientGone::wait);
        let ongoing = Ongoing::received(life, &request, false);
        let call = |request| self.inner.call(request);
        ResponseFuture::new(ongoing, None, gone, *wakes, request, call)
    }
}

pin_project_lite::pin_project! {
    /// The future of [`LifecycleService`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        request: Option<Ongoing>,
        // Under `serve`.
        on: Option<OnConnection>,
        gone: Option<Gone>,
        begun: bool,
        wakes: bool,
        #[pin]
        wake: Option<OwnedNotified>,
        kind: Kind,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_none() {
                return;
            }
            let Some(request) = this.request.as_ref() else { return };
            let life = request.life().clone();
            if let Some(on) = this.on.as_ref().filter(|_| life.has_ended()) {
                on.left(Work::cut(request.policy(), WorkKind::Request, request.arrival()));
            }
            let _scope = Scope::enter(this.request);
            let first = ambient::settle(life.hung_up_by());
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

/// What of the request's head matters for its answer.
#[derive(Clone, Copy)]
struct Kind {
    head: bool,
    connect: bool,
    http1: bool,
}

impl<F> ResponseFuture<F> {
    #[inline]
    fn new<B>(
        request: Ongoing,
        on: Option<OnConnection>,
        gone: Option<Gone>,
        wakes: bool,
        head: Request<B>,
        call: impl FnOnce(Request<B>) -> F,
    ) -> Self {
        let kind = Kind {
            head: *head.method() == Method::HEAD,
            connect: *head.method() == Method::CONNECT,
            http1: head.version() <= Version::HTTP_11,
        };
        Self {
            inner: Some(call(head)),
            request: Some(request),
            on,
            gone,
            begun: false,
            wakes,
            wake: None,
            kind,
        }
    }

    /// A request on a connection of ours, which wakes it itself.
    #[inline]
    pub(crate) fn on<B: Body>(
        on: OnConnection,
        life: &Arc<Life>,
        request: Request<B>,
        call: impl FnOnce(Request<B>) -> F,
    ) -> Self {
        let ongoing = Ongoing::received(life, &request, !request.body().is_end_stream());
        Self::new(ongoing, Some(on), None, false, request, call)
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
        if !std::mem::replace(this.begun, true) {
            if ambient::is_present() {
                // Under `serve` a router's own layer is the second one, and the first one counts.
                *this.request = None;
            } else if this.gone.as_ref().is_some_and(Gone::has_fired) {
                let _scope = Scope::enter(this.request);
                ambient::settle(Cause::ClientDisconnected);
            }
        }
        let result = loop {
            // A wake-up is asked for before the signals are looked at: an advance between the
            // two is then not missed.
            if *this.wakes && this.wake.is_none() {
                this.wake.set(this.request.as_ref().and_then(|request| request.wake()));
            }
            let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
                panic!("`ResponseFuture` polled after it ended");
            };
            {
                let _scope = this.request.is_some().then(|| Scope::enter(this.request));
                if let Poll::Ready(result) = inner.as_mut().poll(cx) {
                    this.inner.set(None);
                    break result;
                }
                if let Some(cause) = unheard(this.gone, cx) {
                    // Recorded first, fired after another poll: a runner then ends its body, where
                    // a body that saw its token fire would only give up.
                    let _fires = ambient::with(|request| request.settle(cause).1);
                    if let Poll::Ready(result) = inner.poll(cx) {
                        this.inner.set(None);
                        break result;
                    }
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
        let mut response = match result {
            Ok(response) => response,
            Err(error) => {
                if let Some(request) = request {
                    request.finish();
                }
                return Poll::Ready(Err(error));
            }
        };
        let tail = request.and_then(|request| {
            let mut tail = answered(request, &mut response, *this.kind, this.on.take());
            if let Some(tail) = tail.as_mut().filter(|_| *this.wakes) {
                tail.wakes(this.gone.take());
            }
            tail
        });
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, tail))))
    }
}

/// What has happened to the request that nobody has noticed: a runner looks at *stopping* by
/// itself, and nobody but us at what another server says.
fn unheard(gone: &mut Option<Gone>, cx: &mut Context<'_>) -> Option<Cause> {
    if ambient::with(|request| request.is_stopping_unheard()) == Some(true) {
        return Some(Cause::ShuttingDown);
    }
    gone.as_mut()?.poll(cx).is_ready().then(|| {
        *gone = None;
        Cause::ClientDisconnected
    })
}

/// The request is answered; what is left of it goes with the response's body.
#[inline]
fn answered<B: Body>(
    request: Ongoing,
    response: &mut Response<B>,
    kind: Kind,
    on: Option<OnConnection>,
) -> Option<Tail> {
    // hyper says so by itself once it has been told; this answer may be quicker.
    let closing = on.is_some() && request.life().phase() >= Phase::Closing;
    if (request.flags.close || closing) && kind.http1 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if !request.flags.stream {
        return Tail::new(request, response, kind.head, on);
    }
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS || (kind.connect && status.is_success()) {
        if let Some(on) = on {
            Upgraded::follow(request, on, kind.http1);
        }
        return None;
    }
    let last = response.extensions_mut().remove::<LastEvent>();
    // What middleware has encoded cannot be gone on with in plain bytes.
    let last = last.filter(|_| !response.headers().contains_key(header::CONTENT_ENCODING));
    let mut tail = Tail::new(request, response, kind.head, on)?;
    if let Some(last) = last {
        tail.says_last(last);
    }
    Some(tail)
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
