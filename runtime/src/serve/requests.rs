//! The hyper service of one connection.

use std::{
    pin::Pin,
    sync::{Arc, atomic::AtomicUsize},
    task::{Context, Poll},
};

use axum::{BoxError, body::Body, extract::Request};
use http::{
    HeaderMap, Method, Response,
    header::{CONTENT_TYPE, UPGRADE},
};
use hyper::body::Incoming;
use tower::{Service, ServiceExt, util::Oneshot};

use crate::{
    connection::{Connection, Metered, OnConnection, UploadLimits, UploadMemory},
    layer::{BodyTimes, Linked, ResponseBody, Upload},
    request::PooledRequest,
};

/// The service that hyper calls, which links each request to the lifecycle and to its connection.
pub(super) struct Requests<S> {
    service: S,
    connection: Arc<Connection>,
    times: BodyTimes,
    uploads: Arc<UploadMemory>,
}

impl<S> Requests<S> {
    pub(super) fn new(
        service: S,
        connection: Arc<Connection>,
        times: BodyTimes,
        limits: UploadLimits,
        held: &Arc<AtomicUsize>,
    ) -> Self {
        Self { service, connection, times, uploads: UploadMemory::new(limits, held) }
    }
}

impl<S, B> hyper::service::Service<http::Request<Incoming>> for Requests<S>
where
    S: Service<Request, Response = Response<B>> + Clone,
    B: http_body::Body<Error: Into<BoxError>>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = Answering<Oneshot<S, Request>, Result<Self::Response, S::Error>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let version = request.version();
        let on = OnConnection::begin(&self.connection, version);
        if self.connection.pipelines() && may_upgrade(&request) {
            self.connection.bar_pipelining();
        }
        let times = (!is_grpc(request.headers())).then_some(self.times);
        let request = request
            .map(|body| Body::new(Upload::new(Metered::new(body, &self.uploads), version, times)));
        let inner =
            Linked::new(PooledRequest::on(on, &request), self.service.clone().oneshot(request));
        Answering { inner, held: None }
    }
}

pin_project_lite::pin_project! {
    /// The future of one request under [`serve`](crate::serve()).
    ///
    /// An HTTP/1 response that is ready before the whole request body is held back for one poll of the connection.
    /// In that poll hyper notices that the body was dropped, reads the bytes that have arrived, and decides
    /// whether the connection can be kept alive. The response then has `Connection: close` exactly if the
    /// connection ends.
    pub(super) struct Answering<F, R> {
        #[pin]
        inner: Linked<F>,
        held: Option<Box<R>>,
    }
}

impl<F, B, E> Future for Answering<F, Result<Response<ResponseBody<B>>, E>>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: http_body::Body<Error: Into<BoxError>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(held) = this.held.take() {
            return Poll::Ready(*held);
        }
        match this.inner.as_mut().poll(cx) {
            Poll::Ready(answer) if this.inner.is_early() => {
                *this.held = Some(Box::new(answer));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }
}

fn may_upgrade<B>(request: &http::Request<B>) -> bool {
    *request.method() == Method::CONNECT || request.headers().contains_key(UPGRADE)
}

/// Returns whether the body is a stream of gRPC messages, which may pause without limit. HTTP/2 pings detect a
/// peer that is gone.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"application/grpc"))
}
