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
    ClientGone, Life, ResponseBody, Tail, Work, WorkKind, client_gone::Gone, response_body::Sending,
};
use crate::{
    ambient::{self, Ongoing, Scope, Signal},
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
        let gone = request.extensions_mut().remove::<ClientGone>();
        let ongoing = Ongoing::received(life, false);
        let mut future = ResponseFuture::new(ongoing, request, |request| self.inner.call(request));
        future.wakes = *wakes;
        future.gone = gone.map(ClientGone::wait);
        future
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
    fn new<B>(request: Ongoing, head: Request<B>, call: impl FnOnce(Request<B>) -> F) -> Self {
        let kind = Kind {
            head: *head.method() == Method::HEAD,
            connect: *head.method() == Method::CONNECT,
            http1: head.version() <= Version::HTTP_11,
        };
        Self {
            inner: Some(call(head)),
            request: Some(request),
            on: None,
            gone: None,
            begun: false,
            wakes: false,
            wake: None,
            kind,
        }
    }

    /// A request on a connection of ours, which wakes it itself.
    pub(crate) fn on<B: Body>(
        on: OnConnection,
        life: &Arc<Life>,
        request: Request<B>,
        call: impl FnOnce(Request<B>) -> F,
    ) -> Self {
        let ongoing = Ongoing::received(life, !request.body().is_end_stream());
        let mut future = Self::new(ongoing, request, call);
        future.on = Some(on);
        future
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
        // A cause is recorded first and its tokens fire after another poll: a runner then ends its
        // body, where a body that saw its token fire would only give up.
        let mut signal: Option<Signal> = None;
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
                let polled = inner.poll(cx);
                signal.take().into_iter().for_each(Signal::fire);
                if let Poll::Ready(result) = polled {
                    this.inner.set(None);
                    break result;
                }
                let cause = if ambient::with(|request| request.is_stopping_unheard()) == Some(true)
                {
                    Some(Cause::ShuttingDown)
                } else if this.gone.as_mut().is_some_and(|gone| gone.poll(cx).is_ready()) {
                    *this.gone = None;
                    Some(Cause::ClientDisconnected)
                } else {
                    None
                };
                if let Some(cause) = cause {
                    signal = ambient::with(|request| request.settle(cause).1).flatten();
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
        let Some(request) = this.request.take() else {
            return Poll::Ready(result.map(|response| response.map(ResponseBody::unwatched)));
        };
        if result.is_err() {
            request.finish();
        }
        let (on, gone) = (this.on.take(), this.gone.take());
        Poll::Ready(
            result.map(|response| respond(request, response, *this.kind, *this.wakes, on, gone)),
        )
    }
}

/// The request is answered; what is left of it goes with the response's body.
fn respond<B: Body>(
    request: Ongoing,
    mut response: Response<B>,
    kind: Kind,
    wakes: bool,
    on: Option<OnConnection>,
    gone: Option<Gone>,
) -> Response<ResponseBody<B>> {
    if request.flags.close && kind.http1 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let status = response.status();
    let upgrades =
        status == StatusCode::SWITCHING_PROTOCOLS || (kind.connect && status.is_success());
    if upgrades && request.flags.stream {
        if let Some(on) = on {
            Upgraded::follow(request, on, status);
        }
        return response.map(ResponseBody::unwatched);
    }
    let sending = on.map(|on| Sending::new(on, &request, response.body()));
    let tail = Tail::new(request, &mut response, kind.head, wakes, gone);
    response.map(|body| ResponseBody::new(body, tail, sending))
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
