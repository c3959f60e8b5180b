//! The methods of one path. The functions are written out, because the compiler would report a handler that does
//! not fit at the macro that generated them.

use std::convert::Infallible;

use axum::{extract::Request, handler::Handler, response::IntoResponse, routing as axum_routing};
use tower::{Layer, Service, layer::util::Stack};

use super::{
    announce::{Announced, Mark},
    handler::{GovernedHandler, ReadOnly},
};
use crate::request::Progress;

/// The governed handlers of one path, one for each method, made by [`get`](super::get) and its siblings for
/// [`Router::route`](crate::Router::route). The type mirrors [`axum::routing::MethodRouter`].
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is routed"]
pub struct MethodRouter<S = ()>(pub(super) axum_routing::MethodRouter<S>);

/// Routes GET, and HEAD without the body, to a handler that does not write.
pub fn get<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter(axum_routing::get(Announced::new(handler)))
}

/// Routes HEAD to a handler that does not write.
pub fn head<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter(axum_routing::head(Announced::new(handler)))
}

/// Routes OPTIONS to a handler that does not write.
pub fn options<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter(axum_routing::options(Announced::new(handler)))
}

/// Routes every method to a handler that does not write, such as a `WebSocket`'s.
pub fn any<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter(axum_routing::any(Announced::new(handler)))
}

/// Routes POST to a governed handler.
pub fn post<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter(axum_routing::post(Announced::new(handler)))
}

/// Routes PUT to a governed handler.
pub fn put<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter(axum_routing::put(Announced::new(handler)))
}

/// Routes PATCH to a governed handler.
pub fn patch<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter(axum_routing::patch(Announced::new(handler)))
}

/// Routes DELETE to a governed handler.
pub fn delete<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S> + GovernedHandler<T>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    MethodRouter(axum_routing::delete(Announced::new(handler)))
}

impl<S: Clone + Send + Sync + 'static> MethodRouter<S> {
    /// Routes GET as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn get<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
        T: 'static,
    {
        Self(self.0.get(Announced::new(handler)))
    }

    /// Routes HEAD as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn head<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
        T: 'static,
    {
        Self(self.0.head(Announced::new(handler)))
    }

    /// Routes OPTIONS as well.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if the method has a handler already.
    #[track_caller]
    pub fn options<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
        T: 'static,
    {
        Self(self.0.options(Announced::new(handler)))
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
        Self(self.0.post(Announced::new(handler)))
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
        Self(self.0.put(Announced::new(handler)))
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
        Self(self.0.patch(Announced::new(handler)))
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
        Self(self.0.delete(Announced::new(handler)))
    }

    /// Sets the handler of all other methods, which must not write.
    pub fn fallback<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S> + GovernedHandler<T, Policy: ReadOnly>,
        T: 'static,
    {
        Self(self.0.fallback(Announced::new(handler)))
    }

    /// Adds the methods of `other`.
    ///
    /// # Panics
    ///
    /// Panics, like axum's, if both have a handler of the same method.
    #[track_caller]
    pub fn merge(self, other: Self) -> Self {
        Self(self.0.merge(other.0))
    }

    /// Applies a layer to all methods and to the 405 response.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<axum_routing::Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response: IntoResponse, Error: Into<Infallible>>,
        L::Service: Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self(self.0.layer(Stack::new(layer, Mark(Progress::Middleware))))
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
        Self(self.0.route_layer(Stack::new(layer, Mark(Progress::Middleware))))
    }

    /// Provides the state of the handlers.
    pub fn with_state<S2>(self, state: S) -> MethodRouter<S2> {
        MethodRouter(self.0.with_state(state))
    }
}
