//! The requests of one connection, on their way to the service and back.

use std::sync::Arc;

use axum::{body::Body, extract::Request};
use http::{HeaderMap, Response, header::CONTENT_TYPE};
use hyper::body::Incoming;
use tower::{Service, ServiceExt, util::Oneshot};

use super::{OnConnection, app::BoxError, connection::Connection};
use crate::{
    ambient::Ongoing,
    lifecycle::{BodyTimes, Linked, ResponseBody, Upload},
};

/// What hyper calls: links each request to the lifecycle and to its connection.
pub(super) struct Requests<S> {
    service: S,
    connection: Arc<Connection>,
    times: BodyTimes,
}

impl<S> Requests<S> {
    pub(super) const fn new(service: S, connection: Arc<Connection>, times: BodyTimes) -> Self {
        Self { service, connection, times }
    }
}

impl<S, B> hyper::service::Service<http::Request<Incoming>> for Requests<S>
where
    S: Service<Request, Response = Response<B>> + Clone,
    B: http_body::Body<Error: Into<BoxError>>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = Linked<Oneshot<S, Request>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let version = request.version();
        let on = OnConnection::begin(&self.connection, version);
        let times = (!is_grpc(request.headers())).then_some(self.times);
        let request = request.map(|body| Body::new(Upload::new(body, version, times)));
        Linked::new(Ongoing::on(on, &request), self.service.clone().oneshot(request))
    }
}

/// Whether the body is a series of messages, between which a call may pause for as long as it likes: HTTP/2's
/// pings see to a peer that is gone.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|media| media.as_bytes().starts_with(b"application/grpc"))
}
