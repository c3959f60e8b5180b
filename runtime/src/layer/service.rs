//! The tower layer that makes each request the current one and wakes it, under any server.
//!
//! Invariants:
//!
//! 1. The wake-up is registered before the signals are read, because an advance of the phase between the two would
//!    be missed otherwise.
//! 2. A wake-up that has come is polled before it is dropped, because dropping it unpolled takes the lock of its
//!    `Notify`, which all other wake-ups of the shard also take.

use std::{
    any::Any,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{BoxError, body::Body as AxumBody};
use http::{Request, Response};
use http_body::Body;
use tokio::sync::futures::OwnedNotified;
use tower::{Layer, Service};

use super::{linked::Linked, request_body::Upload, response_body::ResponseBody};
use crate::{
    cause::Cause,
    request::{self, ClientGone, Gone, Origin, PooledRequest},
    service::ServiceState,
};

/// Links the requests of any tower service to a [`Lifecycle`](crate::Lifecycle); made by
/// [`Lifecycle::layer`](crate::Lifecycle::layer).
#[derive(Clone, Debug)]
pub struct LifecycleLayer {
    life: Arc<ServiceState>,
}

impl LifecycleLayer {
    pub(crate) const fn new(life: Arc<ServiceState>) -> Self {
        Self { life }
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
    Req: Body + 'static,
    Res: Body<Error: Into<BoxError>>,
{
    type Response = Response<ResponseBody<Res>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let life = &self.layer.life;
        life.remember_runtime();
        let gone = request.extensions_mut().remove().map(ClientGone::wait);
        watch_upload(&mut request);
        let ongoing = PooledRequest::received(Origin::Elsewhere(life.clone()), &request, false);
        let linked = Linked::new(ongoing, self.inner.call(request));
        ResponseFuture { linked, gone, wake: None }
    }
}

/// Wraps the request body, so that a client that leaves in the middle of an upload is noticed. A body of another
/// type than axum's passes through.
fn watch_upload<Req: Body + 'static>(request: &mut Request<Req>) {
    if request.body().is_end_stream() || request::is_present() {
        return;
    }
    let version = request.version();
    if let Some(body) = (request.body_mut() as &mut dyn Any).downcast_mut::<AxumBody>() {
        *body = AxumBody::new(Upload::of_another(std::mem::take(body), version));
    }
}

pin_project_lite::pin_project! {
    /// The future of [`LifecycleService`].
    pub struct ResponseFuture<F> {
        #[pin]
        linked: Linked<F>,
        gone: Option<Gone>,
        #[pin]
        wake: Option<OwnedNotified>,
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    Res: Body<Error: Into<BoxError>>,
{
    type Output = Result<Response<ResponseBody<Res>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.linked.as_mut().begins() && this.gone.as_ref().is_some_and(Gone::has_fired) {
            this.linked.as_mut().settle(Cause::ClientDisconnected);
        }
        loop {
            // Invariant 2.
            let may_have_come =
                this.linked.as_ref().request().is_some_and(|request| request.life().is_stopping());
            let came = may_have_come
                && this.wake.as_mut().as_pin_mut().is_some_and(|wake| wake.poll(cx).is_ready());
            // Invariant 1.
            if came {
                this.wake.set(None);
            } else if this.wake.is_none() {
                this.wake.set(this.linked.as_ref().request().and_then(|request| request.wake()));
            }
            let gone = std::cell::RefCell::new(&mut *this.gone);
            let polled = this.linked.as_mut().poll_with(
                cx,
                |cx| has_gone(&mut gone.borrow_mut(), cx),
                |watch| watch.wakes(gone.borrow_mut().take()),
            );
            if polled.is_ready() {
                return polled;
            }
            let woken =
                this.wake.as_mut().as_pin_mut().is_some_and(|wake| wake.poll(cx).is_ready());
            if !came && !woken {
                return Poll::Pending;
            }
            this.wake.set(None);
        }
    }
}

/// Returns the cause once another server has cancelled the request's [`ClientGone`] token.
fn has_gone(gone: &mut Option<Gone>, cx: &mut Context<'_>) -> Option<Cause> {
    gone.as_mut()?.poll(cx).is_ready().then(|| {
        *gone = None;
        Cause::ClientDisconnected
    })
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
