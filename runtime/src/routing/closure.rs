//! Policies for closures, which cannot have attributes.

use std::{marker::PhantomData, panic::Location, pin::Pin, time::Duration};

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    handler::Handler,
    response::{IntoResponse, Response},
};

use super::handler::GovernedHandler;
use crate::{
    deadlines,
    handler::{Governed, NoCompensation, run_boxed, run_exempt, run_inline},
    handler_policy::{Exempt, HandlerPolicy, Mode, Policy, Read, Stream, Write},
    token::CallerToken,
};

/// A closure with a policy: a handler for [`routing`](crate::routing) and for axum's routing, with at most eight
/// extractors. Write a function with an attribute for more.
#[derive(Debug)]
#[must_use = "it does nothing until it is routed"]
pub struct GovernedClosure<F, P> {
    closure: F,
    policy: &'static HandlerPolicy,
    marker: PhantomData<fn() -> P>,
}

impl<F: Clone, P> Clone for GovernedClosure<F, P> {
    fn clone(&self) -> Self {
        Self { closure: self.closure.clone(), policy: self.policy, marker: PhantomData }
    }
}

#[track_caller]
fn governed<F, P>(closure: F, mode: Mode) -> GovernedClosure<F, P> {
    let at = Location::caller();
    // Each call site leaks one name, because a handler's policy lives as long as the program.
    let name = Box::leak(format!("closure at {}:{}", at.file(), at.line()).into_boxed_str());
    let policy = deadlines::known(HandlerPolicy::new(name, at.file(), at.line(), mode));
    GovernedClosure { closure, policy, marker: PhantomData }
}

/// A closure for queries and outbound reads, like `#[cancellable(read)]` for a function: its future is dropped
/// when the client leaves, at the deadline and at shutdown.
///
/// ```
/// use axum::extract::Path;
/// use followthrough::{Router, policy, routing::get};
///
/// let app: Router = Router::new()
///     .route("/hello/{name}", get(policy::read(async |Path(name): Path<String>| format!("hi {name}"))));
/// ```
#[track_caller]
pub fn read<F>(closure: F) -> GovernedClosure<F, Read> {
    governed(closure, Mode::Read)
}

/// A closure for streamed bodies and upgrades, like `#[cancellable(stream)]`.
#[track_caller]
pub fn stream<F>(closure: F) -> GovernedClosure<F, Stream> {
    governed(closure, Mode::Stream)
}

/// A closure for work that is safe to repeat, like `#[cancellable(idempotent_write)]`.
#[track_caller]
pub fn idempotent_write<F>(closure: F) -> GovernedClosure<F, Write> {
    governed(closure, Mode::IdempotentWrite)
}

/// A closure for writes that must land once begun, like `#[durable_write]`. Its extractors run first; from its own
/// first poll on it runs to its end.
#[track_caller]
pub fn durable_write<F>(closure: F) -> GovernedClosure<F, Write> {
    governed(closure, Mode::DurableWrite)
}

/// A closure without a policy, like `#[exempt(reason = "…")]`.
///
/// # Panics
///
/// Panics if the reason is blank.
#[track_caller]
pub fn exempt<F>(reason: &'static str, closure: F) -> GovernedClosure<F, Exempt> {
    assert!(
        !reason.trim().is_empty(),
        "`exempt` needs a reason: say why no policy may end this closure"
    );
    governed(closure, Mode::Exempt).with(|policy| policy.with_reason(reason))
}

impl<F, P> GovernedClosure<F, P> {
    /// Sets a deadline, counted from the arrival of the request.
    ///
    /// # Panics
    ///
    /// Panics if the deadline is zero, or more than a day.
    #[track_caller]
    pub fn deadline(self, deadline: Duration) -> Self {
        assert!(
            !deadline.is_zero() && deadline <= Duration::from_secs(24 * 3600),
            "a deadline must be between 1 ms and 24 h"
        );
        self.with(|policy| policy.with_deadline(deadline))
    }

    /// Sets the name in logs and reports, which is the closure's `file:line` otherwise.
    pub fn name(self, name: &'static str) -> Self {
        self.with(|policy| policy.with_name(name))
    }

    fn with(self, change: impl FnOnce(HandlerPolicy) -> HandlerPolicy) -> Self {
        Self { policy: deadlines::known(change(self.policy.copied())), ..self }
    }
}

async fn run<R, P, Fut>(policy: &'static HandlerPolicy, body: Fut) -> Governed<R, P>
where
    R: Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    let nothing = None::<NoCompensation>;
    match policy.mode() {
        Mode::Exempt => run_exempt(body).await,
        Mode::DurableWrite => run_boxed(policy, CallerToken::NOTHING, nothing, body).await,
        _ => run_inline(policy, CallerToken::NOTHING, nothing, body).await,
    }
}

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

macro_rules! closures {
    ($([$($part:ident)*] $last:ident;)*) => {
        $(
            #[expect(non_snake_case, reason = "the names of the types, for their values")]
            #[diagnostic::do_not_recommend]
            impl<F, Fut, P, S, M, $($part,)* $last> Handler<(M, $($part,)* $last,), S>
                for GovernedClosure<F, P>
            where
                F: FnOnce($($part,)* $last) -> Fut + Clone + Send + Sync + 'static,
                Fut: Future<Output: IntoResponse + Send + 'static> + Send + 'static,
                P: Policy,
                S: Send + Sync + 'static,
                $($part: FromRequestParts<S> + Send,)*
                $last: FromRequest<S, M> + Send,
            {
                type Future = Answering;

                #[allow(unused_mut, reason = "without extractors of parts it is not changed")]
                fn call(self, request: Request, state: S) -> Answering {
                    Box::pin(async move {
                        let (mut parts, body) = request.into_parts();
                        $(
                            let $part = match $part::from_request_parts(&mut parts, &state).await {
                                Ok(value) => value,
                                Err(rejection) => return rejection.into_response(),
                            };
                        )*
                        let request = Request::from_parts(parts, body);
                        let $last = match $last::from_request(request, &state).await {
                            Ok(value) => value,
                            Err(rejection) => return rejection.into_response(),
                        };
                        let body = (self.closure)($($part,)* $last);
                        run::<_, P, _>(self.policy, body).await.into_response()
                    })
                }
            }
        )*
    };
}

#[diagnostic::do_not_recommend]
impl<F, Fut, P, S> Handler<((),), S> for GovernedClosure<F, P>
where
    F: FnOnce() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output: IntoResponse + Send + 'static> + Send + 'static,
    P: Policy,
    S: Send + Sync + 'static,
{
    type Future = Answering;

    fn call(self, _: Request, _: S) -> Answering {
        Box::pin(async move { run::<_, P, _>(self.policy, (self.closure)()).await.into_response() })
    }
}

#[diagnostic::do_not_recommend]
impl<F, P: Policy, T> GovernedHandler<T> for GovernedClosure<F, P> {
    type Policy = P;

    fn declared(handler: Option<&Self>) -> Option<&'static HandlerPolicy> {
        handler.map(|handler| handler.policy)
    }
}

closures! {
    [] T1;
    [T1] T2;
    [T1 T2] T3;
    [T1 T2 T3] T4;
    [T1 T2 T3 T4] T5;
    [T1 T2 T3 T4 T5] T6;
    [T1 T2 T3 T4 T5 T6] T7;
    [T1 T2 T3 T4 T5 T6 T7] T8;
}
