//! A router that lets only governed handlers in.

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

/// An [`axum::Router`] in which every handler has a policy, and no write stands behind GET: what
/// breaks the rule does not compile.
///
/// It has axum's names and axum's behaviour, with [`routing`](crate::routing)'s functions in the
/// place of axum's. [`serve`](crate::serve) takes it as it is, and [`into_axum`](Self::into_axum)
/// gives an axum router to whoever wants one.
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
/// What is no handler, such as a tower service, comes in with
/// [`merge_axum`](Self::merge_axum).
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
    /// A router without routes: it answers 404.
    pub fn new() -> Self {
        Self(axum::Router::new())
    }

    /// Adds the handlers of one path.
    ///
    /// # Panics
    ///
    /// As axum's, if the path is none, or has a handler of the same method already.
    #[track_caller]
    pub fn route(self, path: &str, methods: MethodRouter<S>) -> Self {
        Self(self.0.route(path, methods.0))
    }

    /// Puts all routes of `router` below `path`.
    ///
    /// # Panics
    ///
    /// As axum's, if the path is none, or the routes overlap.
    #[track_caller]
    pub fn nest(self, path: &str, router: Self) -> Self {
        Self(self.0.nest(path, router.0))
    }

    /// Adds all routes of `other`.
    ///
    /// # Panics
    ///
    /// As axum's, if the routes overlap, or both have a fallback.
    #[track_caller]
    pub fn merge<R: GovernedRouter<S>>(self, other: R) -> Self {
        Self(self.0.merge(other.into_governed().0))
    }

    /// Adds the routes of a plain axum router, whose handlers have no policy: other people's
    /// routes, static files, a page of API documentation. `reason` is for the reviewer.
    ///
    /// # Panics
    ///
    /// If `reason` is blank; and as axum's [`merge`](axum::Router::merge).
    #[track_caller]
    pub fn merge_axum(self, router: axum::Router<S>, reason: &'static str) -> Self {
        assert!(
            !reason.trim().is_empty(),
            "`merge_axum` needs a reason: say why these routes have no policy"
        );
        Self(self.0.merge(router.layer(Mark(Progress::Ungoverned))))
    }

    /// Puts a layer around every route that there is, the fallback included. As in axum, the last
    /// one added is the outermost.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response: IntoResponse, Error: Into<Infallible>>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self(self.0.layer(Stack::new(layer, Mark(Progress::Middleware))))
    }

    /// Puts a layer around the routes only: what matches none does not see it.
    ///
    /// # Panics
    ///
    /// As axum's, if there is no route.
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

    /// What answers a path that matches no route. It stands behind every method, so it does not
    /// write.
    pub fn fallback<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
        T: 'static,
    {
        Self(self.0.fallback(Announced::new(handler)))
    }

    /// Takes the fallback away again.
    pub fn reset_fallback(self) -> Self {
        Self(self.0.reset_fallback())
    }

    /// Takes paths as axum 0.7 wrote them, `/:id`, for what they are: segments of their own.
    pub fn without_v07_checks(self) -> Self {
        Self(self.0.without_v07_checks())
    }

    /// What answers a method that a path does not have. It does not write.
    pub fn method_not_allowed_fallback<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
        T: 'static,
    {
        Self(self.0.method_not_allowed_fallback(Announced::new(handler)))
    }

    /// Gives the handlers their state.
    pub fn with_state<S2>(self, state: S) -> Router<S2> {
        Router(self.0.with_state(state))
    }

    /// Whether it has a route.
    #[must_use]
    pub fn has_routes(&self) -> bool {
        self.0.has_routes()
    }

    /// The same routes as an axum router, which takes ungoverned handlers as well.
    pub fn into_axum(self) -> axum::Router<S> {
        self.0
    }
}

impl Router {
    /// What makes a service of it for each connection: for servers that want that.
    #[must_use]
    pub fn into_make_service(self) -> IntoMakeService<axum::Router> {
        self.0.into_make_service()
    }

    /// The same, and handlers may ask for `ConnectInfo<C>`.
    #[must_use]
    pub fn into_make_service_with_connect_info<C>(
        self,
    ) -> IntoMakeServiceWithConnectInfo<axum::Router, C> {
        self.0.into_make_service_with_connect_info()
    }

    /// The same routes as a service for requests with another body.
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

/// For `axum::serve`.
impl<L: serve::Listener> Service<serve::IncomingStream<'_, L>> for Router {
    type Response = axum::Router;
    type Error = Infallible;
    type Future = Ready<Result<axum::Router, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: serve::IncomingStream<'_, L>) -> Self::Future {
        // With its state, it makes its routes once and not for each connection.
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
