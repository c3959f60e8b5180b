//! The router that accepts only governed handlers.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, HttpBody},
    extract::{Request, connect_info::IntoMakeServiceWithConnectInfo},
    handler::Handler,
    response::{IntoResponse, Response},
    routing::{IntoMakeService, Route, RouterIntoService, future::RouteFuture},
    serve,
};
use bytes::Bytes;
use tower::{Layer, Service, layer::util::Stack};

use super::{
    announce::{Announced, Mark},
    handler::{GovernedHandler, ReadOnly},
    method_router::MethodRouter,
};
use crate::request::Progress;

/// An [`axum::Router`] in which every handler has a policy and no write is behind GET. A router that breaks these
/// rules does not compile.
///
/// `Router` has axum's names and axum's behaviour, with the functions of [`routing`](crate::routing) in the place
/// of axum's. [`serve`](crate::serve) takes it directly, and [`into_axum`](Self::into_axum) converts it to an axum
/// router.
///
/// # Examples
///
/// ```
/// use followthrough::{Router, cancellable, durable_write, exempt, routing::{get, post}};
/// use axum::extract::{Path, State};
///
/// #[derive(Clone)]
/// struct Db;
///
/// #[cancellable(read)]
/// async fn show(State(_): State<Db>, Path(id): Path<u64>) -> String {
///     format!("order {id}")
/// }
///
/// #[durable_write]
/// async fn place(State(_): State<Db>) -> &'static str {
///     "placed"
/// }
///
/// #[exempt(reason = "answers at once")]
/// async fn health() -> &'static str {
///     "ok"
/// }
///
/// let app: Router = Router::new()
///     .route("/orders/{id}", get(show).put(place))
///     .route("/orders", post(place))
///     .route("/health", get(health))
///     .with_state(Db);
/// ```
///
/// Add a route that is not a handler, such as a tower service, with [`merge_axum`](Self::merge_axum).
///
/// A handler without a policy is refused:
///
/// ```compile_fail
/// use followthrough::{Router, routing::get};
///
/// async fn plain() {}
///
/// let app: Router = Router::new().route("/", get(plain));
/// ```
///
/// and so is a write behind GET:
///
/// ```compile_fail
/// use followthrough::{Router, durable_write, routing::get};
///
/// #[durable_write]
/// async fn place() {}
///
/// let app: Router = Router::new().route("/", get(place));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a router does nothing until it is served"]
pub struct Router<S = ()>(axum::Router<S>);

impl<S: Clone + Send + Sync + 'static> Default for Router<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Router<S> {
    /// Creates a router without routes, which answers 404.
    pub fn new() -> Self {
        Self(axum::Router::new())
    }

    /// Adds the handlers of one path.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the path is invalid, or has a handler of the same method already.
    #[track_caller]
    pub fn route(self, path: &str, methods: MethodRouter<S>) -> Self {
        Self(self.0.route(path, methods.0))
    }

    /// Nests all routes of `router` below `path`.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the path is invalid, or the routes overlap.
    #[track_caller]
    pub fn nest(self, path: &str, router: Self) -> Self {
        Self(self.0.nest(path, router.0))
    }

    /// Adds all routes of `other`.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the routes overlap, or both routers have a fallback.
    #[track_caller]
    pub fn merge<R: GovernedRouter<S>>(self, other: R) -> Self {
        Self(self.0.merge(other.into_governed().0))
    }

    /// Adds the routes of a plain axum router, whose handlers have no policy: routes of another crate, static
    /// files, a page of API documentation. `reason` is for the reviewer.
    ///
    /// # Panics
    ///
    /// Panics if `reason` is blank, and like axum's [`merge`](axum::Router::merge).
    #[track_caller]
    pub fn merge_axum(self, router: axum::Router<S>, reason: &'static str) -> Self {
        assert!(
            !reason.trim().is_empty(),
            "`merge_axum` needs a reason: say why these routes have no policy"
        );
        Self(self.0.merge(router.layer(Mark(Progress::Ungoverned))))
    }

    /// Applies a layer to every route so far, the fallback included. As in axum, the layer that is added last is
    /// the outermost.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response: IntoResponse, Error: Into<Infallible>>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self(self.0.layer(Stack::new(layer, Mark(Progress::Middleware))))
    }

    /// Applies a layer to the routes only. A request that matches no route does not pass through it.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if there is no route.
    #[track_caller]
    pub fn route_layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response: IntoResponse, Error: Into<Infallible>>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self(self.0.route_layer(Stack::new(layer, Mark(Progress::Middleware))))
    }

    /// Sets the handler of paths that match no route. The handler answers every method, so it must not write.
    pub fn fallback<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
        T: 'static,
    {
        Self(self.0.fallback(Announced::new(handler)))
    }

    /// Removes the fallback.
    pub fn reset_fallback(self) -> Self {
        Self(self.0.reset_fallback())
    }

    /// Allows paths in the syntax of axum 0.7, such as `/:id`, as literal segments.
    pub fn without_v07_checks(self) -> Self {
        Self(self.0.without_v07_checks())
    }

    /// Sets the handler of methods that a path does not have, which must not write.
    pub fn method_not_allowed_fallback<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
        T: 'static,
    {
        Self(self.0.method_not_allowed_fallback(Announced::new(handler)))
    }

    /// Provides the state of the handlers.
    pub fn with_state<S2>(self, state: S) -> Router<S2> {
        Router(self.0.with_state(state))
    }

    /// Returns whether the router has a route.
    #[must_use]
    pub fn has_routes(&self) -> bool {
        self.0.has_routes()
    }

    /// Converts this to an axum router, which accepts ungoverned handlers as well.
    pub fn into_axum(self) -> axum::Router<S> {
        self.0
    }
}

impl Router {
    /// Converts this to a `MakeService`, for servers that need one.
    #[must_use]
    pub fn into_make_service(self) -> IntoMakeService<axum::Router> {
        self.0.into_make_service()
    }

    /// Converts this to a `MakeService` whose handlers may extract `ConnectInfo<C>`.
    #[must_use]
    pub fn into_make_service_with_connect_info<C>(
        self,
    ) -> IntoMakeServiceWithConnectInfo<axum::Router, C> {
        self.0.into_make_service_with_connect_info()
    }

    /// Converts this to a service for requests with another body type.
    #[must_use]
    pub fn into_service<B>(self) -> RouterIntoService<B> {
        self.0.into_service()
    }
}

/// A router whose handlers have policies.
#[diagnostic::on_unimplemented(
    message = "a router of plain axum cannot be merged, because its handlers have no policy",
    label = "expected a `followthrough::Router`",
    note = "let it in with a reason: `.merge_axum(router, \"the reason\")`"
)]
pub trait GovernedRouter<S> {
    #[doc(hidden)]
    fn into_governed(self) -> Router<S>;
}

impl<S> GovernedRouter<S> for Router<S> {
    fn into_governed(self) -> Self {
        self
    }
}

impl<S> From<Router<S>> for axum::Router<S> {
    fn from(router: Router<S>) -> Self {
        router.0
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
        ready(Ok(self.0.clone().with_state(())))
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
        Service::<http::Request<Body>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        self.0.call(request)
    }
}
