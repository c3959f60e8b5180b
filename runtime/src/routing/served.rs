//! Conversions of the router to the services that servers take.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, HttpBody},
    extract::connect_info::IntoMakeServiceWithConnectInfo,
    response::Response,
    routing::{IntoMakeService, RouterIntoService, future::RouteFuture},
    serve,
};
use bytes::Bytes;
use tower::Service;

use super::router::Router;

impl Router {
    /// Converts this to a `MakeService`, for servers that need one.
    #[must_use]
    pub fn into_make_service(self) -> IntoMakeService<axum::Router> {
        self.inner.into_make_service()
    }

    /// Converts this to a `MakeService` whose handlers may extract `ConnectInfo<C>`.
    #[must_use]
    pub fn into_make_service_with_connect_info<C>(
        self,
    ) -> IntoMakeServiceWithConnectInfo<axum::Router, C> {
        self.inner.into_make_service_with_connect_info()
    }

    /// Converts this to a service for requests with another body type.
    #[must_use]
    pub fn into_service<B>(self) -> RouterIntoService<B> {
        self.inner.into_service()
    }
}

impl<S> From<Router<S>> for axum::Router<S> {
    fn from(router: Router<S>) -> Self {
        router.inner
    }
}

/// Lets `axum::serve` take the router.
impl<L: serve::Listener> Service<serve::IncomingStream<'_, L>> for Router {
    type Response = axum::Router;
    type Error = Infallible;
    type Future = Ready<Result<axum::Router, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: serve::IncomingStream<'_, L>) -> Self::Future {
        // A router that has its state builds its routes once, and not for each connection.
        ready(Ok(self.inner.clone().with_state(())))
    }
}

impl<B> Service<http::Request<B>> for Router
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        self.inner.call(request)
    }
}
