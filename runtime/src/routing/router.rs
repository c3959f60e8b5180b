//! The router that accepts only governed handlers.

use std::{any::Any, convert::Infallible, sync::Arc};

use axum::{extract::Request, handler::Handler, response::IntoResponse, routing::Route};
use tower::{Layer, Service, layer::util::Stack};

use super::{
    announce::{Announced, Mark},
    handler::{GovernedHandler, SafeMethodPolicy},
    method_router::GovernedMethodRouter,
};
use crate::{
    request::Progress,
    routes::{RouteInfo, Routes, Target},
};

/// An [`axum::Router`] in which every handler has a policy, and no write is behind GET unless its attribute says why
/// (`safe_method = "…"`). A router that breaks these rules does not compile; only `on`, whose methods are a value, panics.
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
/// A tower service has no policy, so [`route_service`](Self::route_service) and its siblings need a reason, and so do
/// the routes of a plain axum router in [`merge_axum`](Self::merge_axum). [`routes`](Self::routes) lists them with
/// their reasons.
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
pub struct Router<S = ()> {
    pub(super) inner: axum::Router<S>,
    /// Shared by the clones, which a server may make for each connection.
    pub(super) routes: Arc<Vec<RouteInfo>>,
}

impl<S: Clone + Send + Sync + 'static> Default for Router<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Router<S> {
    /// Creates a router without routes, which answers 404.
    pub fn new() -> Self {
        Self { inner: axum::Router::new(), routes: Arc::default() }
    }

    /// Adds the handlers of one path.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the path is invalid, or has a handler of the same method already.
    #[track_caller]
    pub fn route<M: GovernedMethodRouter<S>>(self, path: &str, methods: M) -> Self {
        let methods = methods.into_governed();
        let routes = methods.handlers.into_iter();
        let routes = routes.map(|(method, target)| RouteInfo::new(method, path, target));
        Self { inner: self.inner.route(path, methods.inner), ..self }.listing(routes)
    }

    /// Adds a tower service for all methods of one path. The service has no policy, so `reason` is for the
    /// reviewer.
    ///
    /// ```
    /// use followthrough::Router;
    /// use http::Response;
    ///
    /// let legacy = tower::service_fn(async |_| Ok(Response::new("from the service of before".to_owned())));
    /// let app: Router = Router::new().route_service("/old", legacy, "moves to a handler in June");
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `reason` is blank or the service is an axum router, and like axum's, if the path is invalid or has
    /// a handler already.
    #[track_caller]
    pub fn route_service<T>(self, path: &str, service: T, reason: &'static str) -> Self
    where
        T: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send + 'static>,
        T: Clone + Send + Sync + 'static,
    {
        given("route_service", reason);
        assert!(
            !(&service as &dyn Any).is::<axum::Router>(),
            "`route_service` cannot route a router: use `merge_axum` or `nest_service`"
        );
        let route = RouteInfo::new(None, path, Target::Service(reason));
        let service = UNGOVERNED.layer(service);
        Self { inner: self.inner.route_service(path, service), ..self }.listing([route])
    }

    /// Nests all routes of `router` below `path`.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the path is invalid, or the routes overlap.
    #[track_caller]
    pub fn nest<R: GovernedRouter<S>>(self, path: &str, router: R) -> Self {
        let nested = router.into_governed();
        let below = nested.routes.iter().map(|route| route.clone().nested_below(path));
        Self { inner: self.inner.nest(path, nested.inner), ..self }.listing(below)
    }

    /// Nests a tower service below `path`, such as one for static files. The service has no policy, so `reason` is
    /// for the reviewer.
    ///
    /// # Panics
    ///
    /// Panics if `reason` is blank, and like axum's, if the path is invalid or the routes overlap.
    #[track_caller]
    pub fn nest_service<T>(self, path: &str, service: T, reason: &'static str) -> Self
    where
        T: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send + 'static>,
        T: Clone + Send + Sync + 'static,
    {
        given("nest_service", reason);
        let route = RouteInfo::new(None, "/*", Target::Service(reason)).nested_below(path);
        let service = UNGOVERNED.layer(service);
        Self { inner: self.inner.nest_service(path, service), ..self }.listing([route])
    }

    /// Adds all routes of `other`.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the routes overlap, or both routers have a fallback.
    #[track_caller]
    pub fn merge<R: GovernedRouter<S>>(self, other: R) -> Self {
        let other = other.into_governed();
        let routes = other.routes.iter().cloned();
        Self { inner: self.inner.merge(other.inner), ..self }.listing(routes)
    }

    /// Adds the routes of a plain axum router, whose handlers have no policy: routes of another crate, static
    /// files, a page of API documentation. `reason` is for the reviewer.
    ///
    /// # Panics
    ///
    /// Panics if `reason` is blank, and like axum's [`merge`](axum::Router::merge).
    #[track_caller]
    pub fn merge_axum(self, router: axum::Router<S>, reason: &'static str) -> Self {
        given("merge_axum", reason);
        let route = RouteInfo::new(None, "/*", Target::Service(reason));
        Self { inner: self.inner.merge(router.layer(UNGOVERNED)), ..self }.listing([route])
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
        let layer = Stack::new(layer, Mark(Progress::Middleware));
        Self { inner: self.inner.layer(layer), ..self }
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
        let layer = Stack::new(layer, Mark(Progress::Middleware));
        Self { inner: self.inner.route_layer(layer), ..self }
    }

    /// Sets the handler of paths that match no route. The handler answers every method, so it must not write.
    pub fn fallback<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
        T: 'static,
    {
        let handler = Announced::new(handler);
        let route = RouteInfo::fallback(handler.target());
        let this = self.unlisting_fallback().listing([route]);
        Self { inner: this.inner.fallback(handler), ..this }
    }

    /// Sets a tower service for paths that match no route. The service has no policy, so `reason` is for the
    /// reviewer.
    ///
    /// # Panics
    ///
    /// Panics if `reason` is blank.
    #[track_caller]
    pub fn fallback_service<T>(self, service: T, reason: &'static str) -> Self
    where
        T: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send + 'static>,
        T: Clone + Send + Sync + 'static,
    {
        given("fallback_service", reason);
        let route = RouteInfo::fallback(Target::Service(reason));
        let this = self.unlisting_fallback().listing([route]);
        Self { inner: this.inner.fallback_service(UNGOVERNED.layer(service)), ..this }
    }

    /// Removes the fallback.
    pub fn reset_fallback(self) -> Self {
        let this = self.unlisting_fallback();
        Self { inner: this.inner.reset_fallback(), ..this }
    }

    /// Allows paths in the syntax of axum 0.7, such as `/:id`, as literal segments.
    pub fn without_v07_checks(self) -> Self {
        Self { inner: self.inner.without_v07_checks(), ..self }
    }

    /// Sets the handler of methods that a path does not have, which must not write.
    pub fn method_not_allowed_fallback<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
        T: 'static,
    {
        let handler = Announced::new(handler);
        Self { inner: self.inner.method_not_allowed_fallback(handler), ..self }
    }

    /// Provides the state of the handlers.
    pub fn with_state<S2>(self, state: S) -> Router<S2> {
        Router { inner: self.inner.with_state(state), routes: self.routes }
    }

    /// Returns whether the router has a route.
    #[must_use]
    pub fn has_routes(&self) -> bool {
        self.inner.has_routes()
    }

    /// Lists the routes with their handlers and policies, those of nested and merged routers included. Services and
    /// the routes of [`merge_axum`](Self::merge_axum) are listed with their reasons; their own paths are not known.
    /// The handler of [`method_not_allowed_fallback`](Self::method_not_allowed_fallback) has no route.
    ///
    /// # Examples
    ///
    /// ```
    /// use followthrough::{Router, cancellable, durable_write, routing::{get, post}};
    ///
    /// #[cancellable(read, name = "orders::show")]
    /// async fn show() {}
    ///
    /// #[durable_write(name = "orders::place", reason = "the charge must land")]
    /// async fn place() {}
    ///
    /// let orders = Router::new().route("/orders/{id}", get(show)).route("/orders", post(place));
    /// let app: Router = Router::new().nest("/api", orders);
    /// assert_eq!(
    ///     app.routes().to_string(),
    ///     "\
    /// method | path             | handler       | policy            | reason
    /// ------ | ---------------- | ------------- | ----------------- | --------------------
    /// POST   | /api/orders      | orders::place | durable_write     | the charge must land
    /// GET    | /api/orders/{id} | orders::show  | cancellable(read) |
    /// "
    /// );
    /// ```
    ///
    /// [`Policies::with_routes`](crate::catalogue::Policies::with_routes) joins them with the catalogue.
    pub fn routes(&self) -> Routes {
        Routes::new(self.routes.to_vec())
    }

    /// Converts this to an axum router, which accepts ungoverned handlers as well.
    pub fn into_axum(self) -> axum::Router<S> {
        self.inner
    }

    fn listing(mut self, routes: impl IntoIterator<Item = RouteInfo>) -> Self {
        Arc::make_mut(&mut self.routes).extend(routes);
        self
    }

    fn unlisting_fallback(mut self) -> Self {
        Arc::make_mut(&mut self.routes).retain(|route| !route.is_outer_fallback());
        self
    }
}

/// Marks a request as one that goes to a route without a policy.
const UNGOVERNED: Mark = Mark(Progress::Ungoverned);

/// Panics if the reason is blank.
#[track_caller]
fn given(method: &str, reason: &str) {
    assert!(
        !reason.trim().is_empty(),
        "`{method}` needs a reason: say why these routes have no policy"
    );
}

/// A router whose handlers have policies.
#[diagnostic::on_unimplemented(
    message = "a router of plain axum cannot be merged or nested, because its handlers need no policy",
    label = "expected a `followthrough::Router`",
    note = "let it in with a reason: `.merge_axum(router, \"the reason\")`, or below a path: \
            `.merge_axum(axum::Router::new().nest(path, router), \"the reason\")`"
)]
pub trait GovernedRouter<S> {
    #[doc(hidden)]
    fn into_governed(self) -> Router<S>;
}

#[diagnostic::do_not_recommend]
impl<S> GovernedRouter<S> for Router<S> {
    fn into_governed(self) -> Self {
        self
    }
}
