//! The methods of one path. The functions are written out, because the compiler would report a handler that does
//! not fit at the macro that generated them.

use std::convert::Infallible;

use axum::{extract::Request, handler::Handler, response::IntoResponse, routing as axum_routing};
use http::Method;
use tower::{Layer, Service, layer::util::Stack};

use super::{
    announce::{Announced, Mark},
    handler::{GovernedHandler, SafeMethodPolicy},
    method_filter::{MethodFilter, methods, reject_unsafe},
};
use crate::{request::Progress, routes::Target};

/// The governed handlers of one path, one for each method, made by [`get`](super::get) and its siblings for
/// [`Router::route`](crate::Router::route). The type mirrors [`axum::routing::MethodRouter`].
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is routed"]
pub struct MethodRouter<S = ()> {
    pub(super) inner: axum_routing::MethodRouter<S>,
    /// Each method with its handler. `None` stands for the methods without a handler.
    pub(super) handlers: Vec<(Option<Method>, Target)>,
}

/// The handlers of one path, in which each handler has a policy.
#[diagnostic::on_unimplemented(
    message = "the handlers of axum's own `MethodRouter` need no policy, so it cannot be routed here",
    label = "expected a `followthrough::routing::MethodRouter`",
    note = "import `get`, `post` and their siblings from `followthrough::routing`, or route it with a reason: \
            `.merge_axum(axum::Router::new().route(path, methods), \"the reason\")`"
)]
pub trait GovernedMethodRouter<S> {
    #[doc(hidden)]
    fn into_governed(self) -> MethodRouter<S>;
}

#[diagnostic::do_not_recommend]
impl<S> GovernedMethodRouter<S> for MethodRouter<S> {
    fn into_governed(self) -> Self {
        self
    }
}

/// Routes GET, and HEAD without the body, to a handler that does not write.
pub fn get<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().get(handler)
}

/// Routes HEAD to a handler that does not write.
pub fn head<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().head(handler)
}

/// Routes OPTIONS to a handler that does not write.
pub fn options<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().options(handler)
}

/// Routes TRACE to a handler that does not write.
pub fn trace<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().trace(handler)
}

/// Routes POST to a governed handler.
pub fn post<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().post(handler)
}

/// Routes PUT to a governed handler.
pub fn put<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().put(handler)
}

/// Routes PATCH to a governed handler.
pub fn patch<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().patch(handler)
}

/// Routes DELETE to a governed handler.
pub fn delete<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().delete(handler)
}

/// Routes CONNECT to a governed handler.
pub fn connect<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().connect(handler)
}

/// Routes every method to a handler that does not write, such as a `WebSocket`'s.
pub fn any<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let handler = Announced::new(handler);
    let handlers = vec![(None, handler.target())];
    MethodRouter { inner: axum_routing::any(handler), handlers }
}

/// Routes the methods of `filter` to a governed handler.
///
/// The compiler does not know the value of `filter`, so the router checks it when it is built. [`get`](super::get)
/// and its siblings are checked by the compiler.
///
/// ```
/// use followthrough::{Router, durable_write, routing::{MethodFilter, on}};
///
/// #[durable_write]
/// async fn place() {}
///
/// let app: Router =
///     Router::new().route("/orders", on(MethodFilter::POST.or(MethodFilter::PUT), place));
/// ```
///
/// # Panics
///
/// Panics if `filter` has GET, HEAD, OPTIONS or TRACE and the handler writes without a `safe_method = "…"`.
#[track_caller]
pub fn on<H, T, S>(filter: MethodFilter, handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter::new().on(filter, handler)
}

impl<S: Clone + Send + Sync + 'static> MethodRouter<S> {
    /// Creates a router without methods, which answers 405.
    fn new() -> Self {
        Self { inner: axum_routing::MethodRouter::new(), handlers: Vec::new() }
    }

    #[track_caller]
    fn with<H, T>(mut self, filter: MethodFilter, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T>,
        T: 'static,
    {
        let handler = Announced::new(handler);
        self.handlers.extend(methods(filter).map(|method| (Some(method), handler.target())));
        Self { inner: self.inner.on(filter, handler), ..self }
    }

    /// Routes GET as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn get<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
        T: 'static,
    {
        self.with(MethodFilter::GET, handler)
    }

    /// Routes HEAD as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn head<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
        T: 'static,
    {
        self.with(MethodFilter::HEAD, handler)
    }

    /// Routes OPTIONS as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn options<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
        T: 'static,
    {
        self.with(MethodFilter::OPTIONS, handler)
    }

    /// Routes TRACE as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn trace<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
        T: 'static,
    {
        self.with(MethodFilter::TRACE, handler)
    }

    /// Routes POST as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn post<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T>,
        T: 'static,
    {
        self.with(MethodFilter::POST, handler)
    }

    /// Routes PUT as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn put<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T>,
        T: 'static,
    {
        self.with(MethodFilter::PUT, handler)
    }

    /// Routes PATCH as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn patch<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T>,
        T: 'static,
    {
        self.with(MethodFilter::PATCH, handler)
    }

    /// Routes DELETE as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn delete<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T>,
        T: 'static,
    {
        self.with(MethodFilter::DELETE, handler)
    }

    /// Routes CONNECT as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn connect<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T>,
        T: 'static,
    {
        self.with(MethodFilter::CONNECT, handler)
    }

    /// Routes the methods of `filter` as well; see [`on`].
    ///
    /// # Panics
    ///
    /// Panics if `filter` has GET, HEAD, OPTIONS or TRACE and the handler writes without a `safe_method = "…"`, and
    /// like axum's, if a method has a handler already.
    #[track_caller]
    pub fn on<H, T>(self, filter: MethodFilter, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T>,
        T: 'static,
    {
        reject_unsafe::<H::Policy>(filter, std::any::type_name::<H>());
        self.with(filter, handler)
    }

    /// Sets the handler of all other methods, which must not write.
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: SafeMethodPolicy>,
        T: 'static,
    {
        let handler = Announced::new(handler);
        self.handlers.retain(|(method, _)| method.is_some());
        self.handlers.push((None, handler.target()));
        Self { inner: self.inner.fallback(handler), ..self }
    }

    /// Adds the methods of `other`.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if both have a handler of the same method.
    #[track_caller]
    pub fn merge<M: GovernedMethodRouter<S>>(mut self, other: M) -> Self {
        let other = other.into_governed();
        self.handlers.extend(other.handlers);
        Self { inner: self.inner.merge(other.inner), ..self }
    }

    /// Applies a layer to all methods and to the 405 response.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<axum_routing::Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response: IntoResponse, Error: Into<Infallible>>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self { inner: self.inner.layer(Stack::new(layer, Mark(Progress::Middleware))), ..self }
    }

    /// Applies a layer to the methods that have a handler.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if no method has a handler.
    #[track_caller]
    pub fn route_layer<L>(self, layer: L) -> Self
    where
        L: Layer<axum_routing::Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response: IntoResponse, Error = Infallible>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let layer = Stack::new(layer, Mark(Progress::Middleware));
        Self { inner: self.inner.route_layer(layer), ..self }
    }

    /// Provides the state of the handlers.
    pub fn with_state<S2>(self, state: S) -> MethodRouter<S2> {
        MethodRouter { inner: self.inner.with_state(state), handlers: self.handlers }
    }
}
