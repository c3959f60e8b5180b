//! The requests of one connection, on their way to the service and back.

use std::sync::Arc;

use axum::{body::Body, extract::Request};
use http::Response;
use hyper::body::Incoming;
use tower::{Service, ServiceExt, util::Oneshot};

use super::{OnConnection, connection::Connection};
use crate::{
    ambient::Ongoing,
    lifecycle::{Linked, ResponseBody, Upload},
};

/// What hyper calls: links each request to the lifecycle and to its connection.
pub(super) struct Requests<S> {
    service: S,
    connection: Arc<Connection>,
}

impl<S> Requests<S> {
    pub(super) const fn new(service: S, connection: Arc<Connection>) -> Self {
        Self { service, connection }
    }
}

impl<S, B> hyper::service::Service<http::Request<Incoming>> for Requests<S>
where
    S: Service<Request, Response = Response<B>> + Clone,
    B: http_body::Body,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = Linked<Oneshot<S, Request>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let version = request.version();
        let on = OnConnection::begin(&self.connection, version);
        let request = request.map(|body| Body::new(Upload::new(body, version)));
        Linked::new(Ongoing::on(on, &request), self.service.clone().oneshot(request))
    }
}
