//! Records in the request which handler it goes to, before that handler's extractors run (law 3).
//!
//! Invariants:
//!
//! 1. `HandedOn` is stored with `Release` before the handler's own code runs, because the request that middleware
//!    left behind reads it to see that the handler has begun in another task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{extract::Request, handler::Handler};
use tower::{Layer, Service};

use super::handler::GovernedHandler;
use crate::{
    handler_policy::{HandlerPolicy, Policy},
    request::{self, Progress},
};

/// A handler that first records its policy in the request.
#[derive(Clone, Debug)]
pub(super) struct Announced<H> {
    handler: H,
    route: Route,
}

#[derive(Clone, Copy, Debug)]
enum Route {
    To(&'static HandlerPolicy),
    /// A handler with a policy that is not in the catalogue.
    Governed,
    Exempt,
}

impl<H> Announced<H> {
    pub(super) fn new<T>(handler: H) -> Self
    where
        H: GovernedHandler<T>,
    {
        let route = match H::declared(Some(&handler)) {
            Some(policy) => Route::To(policy),
            None if H::Policy::EXEMPT => Route::Exempt,
            None => Route::Governed,
        };
        Self { handler, route }
    }
}

impl<H, T, S> Handler<T, S> for Announced<H>
where
    H: Handler<T, S>,
{
    type Future = H::Future;

    fn call(self, request: Request, state: S) -> H::Future {
        let here = request::with(|context| match self.route {
            Route::To(policy) => {
                context.observe_handler(policy, || matched_path(&request));
                context.routed_to(policy);
            }
            Route::Governed => context.advance_to(Progress::Middleware),
            Route::Exempt => context.advance_to(Progress::Ungoverned),
        });
        if let (None, Some(HandedOn(handed_on))) = (here, request.extensions().get()) {
            handed_on.store(true, Ordering::Release);
        }
        self.handler.call(request, state)
    }
}

/// Returns the path of the request's route.
#[cfg(feature = "matched-path")]
fn matched_path(request: &Request) -> Option<Arc<str>> {
    let path: &axum::extract::MatchedPath = request.extensions().get()?;
    Some(path.as_str().into())
}

/// Without the feature, axum does not say.
#[cfg(not(feature = "matched-path"))]
const fn matched_path(_: &Request) -> Option<Arc<str>> {
    None
}

/// A request extension. A handler that runs in another task, because middleware spawned it, sets the flag when it
/// begins.
#[derive(Clone)]
struct HandedOn(Arc<AtomicBool>);

/// The layer that records in each request that it is in the middleware of governed routes, or in a route without a
/// policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(pub(super) Progress);

/// The service of [`Mark`].
#[derive(Clone, Debug)]
pub(super) struct Marked<S> {
    inner: S,
    progress: Progress,
}

impl<S> Layer<S> for Mark {
    type Service = Marked<S>;

    fn layer(&self, inner: S) -> Marked<S> {
        Marked { inner, progress: self.0 }
    }
}

impl<S: Service<Request>> Service<Request> for Marked<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        let handed_on = request::with(|request| {
            request.advance_to(self.progress);
            matches!(self.progress, Progress::Middleware).then(|| request.handed_on())
        });
        if let Some(handed_on) = handed_on.flatten() {
            request.extensions_mut().insert(HandedOn(handed_on));
        }
        self.inner.call(request)
    }
}
