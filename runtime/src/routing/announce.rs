//! Records in the request which handler it goes to, before that handler's extractors run (law 3).
//!
//! Invariants:
//!
//! 1. `HandedOn` is stored with `Release` before the handler's own code runs, because the request that middleware
//!    left behind reads it to see that the handler has begun in another task.

use std::{
    any::type_name,
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
    handler_policy::Policy,
    request::{self, Progress},
    routes::Target,
};

/// A handler that first records its policy in the request.
#[derive(Clone, Debug)]
pub(super) struct Announced<H> {
    handler: H,
    target: Target,
}

impl<H> Announced<H> {
    pub(super) fn new<T>(handler: H) -> Self
    where
        H: GovernedHandler<T>,
    {
        let target = match H::declared(Some(&handler)) {
            Some(policy) => Target::Handler(policy),
            None => Target::Unlisted { type_name: type_name::<H>(), exempt: H::Policy::EXEMPT },
        };
        Self { handler, target }
    }

    pub(super) fn target(&self) -> Target {
        self.target
    }
}

impl<H, T, S> Handler<T, S> for Announced<H>
where
    H: Handler<T, S>,
{
    type Future = H::Future;

    fn call(self, mut request: Request, state: S) -> H::Future {
        if let Target::Handler(policy) = self.target {
            if policy.key().is_some_and(|key| !key.takes_key()) {
                request = show_to_scope(request);
            }
        }
        let here = request::with(|context| match self.target {
            Target::Handler(policy) => {
                context.observe_handler(policy, || matched_path(&request));
                context.routed_to(policy);
            }
            Target::Unlisted { exempt: false, .. } => context.advance_to(Progress::Middleware),
            Target::Unlisted { exempt: true, .. } | Target::Service(_) => {
                context.advance_to(Progress::Ungoverned);
            }
        });
        if let (None, Some(HandedOn(handed_on))) = (here, request.extensions().get()) {
            handed_on.store(true, Ordering::Release);
        }
        self.handler.call(request, state)
    }
}

/// Shows the head of a keyed request to the scope of the keys. A handler with a parameter `IdempotencyKey` does so
/// itself, after the handler's own layers.
#[cold]
fn show_to_scope(request: Request) -> Request {
    let Some(attempt) = request::with(|context| context.attempt.clone()).flatten() else {
        return request;
    };
    let (parts, body) = request.into_parts();
    attempt.see(&parts);
    Request::from_parts(parts, body)
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
