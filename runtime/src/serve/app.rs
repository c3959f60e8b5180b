//! The services that [`serve`](crate::serve) accepts.

use std::{any::Any, convert::Infallible, io};

use axum::{BoxError, extract::Request};
use http::Response;
use tower::{Service, ServiceExt};

/// A service that [`serve`](crate::serve) can serve on a listener with peers of type `Peer`:
///
/// - a [`Router`](crate::Router) or an [`axum::Router`] that has its state, or any other tower service from
///   `Request<axum::body::Body>` to a response, with the error `Infallible`;
/// - the result of axum's `into_make_service()` or `into_make_service_with_connect_info::<C>()`, or any other
///   service from `Peer` to such a service. `C` is [`SocketAddr`](std::net::SocketAddr) or your own type that
///   implements axum's `Connected<SocketAddr>`; on a Unix socket, [`UnixPeer`](crate::UnixPeer) takes the place of
///   both.
///
/// `Kind` says which of the two it is; the compiler infers it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served on a listener whose peers are `{Peer}`",
    label = "expected an `axum::Router` or a service like one",
    note = "a router that still wants its state: give it with `.with_state(state)`",
    note = "`ConnectInfo` over TCP: `app.into_make_service_with_connect_info::<SocketAddr>()`; \
            over a Unix socket: `::<followthrough::UnixPeer>()`",
    note = "a service that can fail: turn its errors into responses, with axum's `HandleError` for \
            one",
    note = "any other service: `Clone + Send + Sync`, by value, from `Request<axum::body::Body>`"
)]
pub trait App<Peer, Kind>: Send + 'static {
    /// The service of one connection.
    type Service: Service<
            Request,
            Response = Response<Self::Body>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static;
    /// The body of a response.
    type Body: http_body::Body<Data: Send + 'static, Error: Into<BoxError>> + Send + 'static;

    /// Called once, before the first connection.
    #[doc(hidden)]
    fn prepare(&mut self) {}

    /// Returns the service of one connection, once `peer` is known.
    #[doc(hidden)]
    fn connect(
        &self,
        peer: impl Future<Output = io::Result<Peer>> + Send + 'static,
    ) -> impl Future<Output = io::Result<Self::Service>> + Send + 'static;
}

/// The kind of an [`App`] that is itself the service.
#[derive(Debug)]
pub struct Answers;

/// The kind of an [`App`] that makes a service for each connection.
#[derive(Debug)]
pub struct Makes;

impl<S, B, Peer> App<Peer, Answers> for S
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data: Send + 'static, Error: Into<BoxError>> + Send + 'static,
{
    type Service = S;
    type Body = B;

    fn prepare(&mut self) {
        // A router without state rebuilds its routes at every call until it has its `()`.
        let app = self as &mut dyn Any;
        if let Some(router) = app.downcast_mut::<axum::Router>() {
            *router = std::mem::take(router).with_state(());
        } else if let Some(router) = app.downcast_mut::<crate::Router>() {
            *router = std::mem::take(router).with_state(());
        }
    }

    fn connect(
        &self,
        peer: impl Future<Output = io::Result<Peer>> + Send + 'static,
    ) -> impl Future<Output = io::Result<S>> + Send + 'static {
        let service = self.clone();
        async move { peer.await.map(|_| service) }
    }
}

impl<M, S, B, Peer> App<Peer, Makes> for M
where
    M: Service<Peer, Response = S, Error = Infallible> + Clone + Send + 'static,
    M::Future: Send + 'static,
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data: Send + 'static, Error: Into<BoxError>> + Send + 'static,
    Peer: Send + 'static,
{
    type Service = S;
    type Body = B;

    fn connect(
        &self,
        peer: impl Future<Output = io::Result<Peer>> + Send + 'static,
    ) -> impl Future<Output = io::Result<S>> + Send + 'static {
        let make = self.clone();
        async move {
            match make.oneshot(peer.await?).await {
                Ok(service) => Ok(service),
                Err(never) => match never {},
            }
        }
    }
}
