//! The traits of handlers that may be routed.

use std::any::type_name;

use axum::handler::Layered;

use crate::{
    deadlines,
    handler::Governed,
    handler_policy::{Exempt, HandlerPolicy, Policy, Read, SafeMethodWrite, Stream},
};

/// A handler with a policy: an annotated function, or a closure in [`policy::read`] and its siblings. `T` is the
/// parameter of [`axum::handler::Handler`], which separately decides whether axum can call the handler.
///
/// [`policy::read`]: crate::policy::read
#[diagnostic::on_unimplemented(
    message = "a handler without a policy cannot be routed",
    label = "this handler has no policy",
    note = "say above it what may end it: `#[cancellable(read)]` for what may be cut, `#[durable_write]` for \
            what must land, `#[exempt(reason = \"…\")]` for what needs no policy",
    note = "around a closure, say it with `policy::read(..)`, `policy::durable_write(..)` or their siblings",
    note = "a router of plain axum can be merged: `.merge_axum(router, \"the reason\")`"
)]
pub trait GovernedHandler<T> {
    /// Its policy.
    type Policy: Policy;

    /// Returns the declared policy, if the handler's type or value determines it.
    #[doc(hidden)]
    fn declared(handler: Option<&Self>) -> Option<&'static HandlerPolicy>;
}

/// The return type of a governed handler.
pub trait IsGoverned {
    /// Its policy.
    type Policy: Policy;
}

impl<R, P: Policy> IsGoverned for Governed<R, P> {
    type Policy = P;
}

/// A policy that the safe methods GET, HEAD, OPTIONS and TRACE accept, and `any` and the fallbacks, which answer
/// them as well.
#[diagnostic::on_unimplemented(
    message = "a write cannot be routed behind GET, HEAD, OPTIONS, TRACE, `any` or a fallback",
    label = "this handler writes, by its policy or in a durable statement",
    note = "clients, caches and crawlers repeat such requests: route it with `post`, `put`, `patch` or `delete`, \
            or say in its attribute why that does no harm, `safe_method = \"…\"`"
)]
pub trait SafeMethodPolicy: Policy {}

#[diagnostic::do_not_recommend]
impl SafeMethodPolicy for Read {}
#[diagnostic::do_not_recommend]
impl SafeMethodPolicy for Stream {}
#[diagnostic::do_not_recommend]
impl SafeMethodPolicy for SafeMethodWrite {}
#[diagnostic::do_not_recommend]
impl SafeMethodPolicy for Exempt {}

macro_rules! functions {
    ($($($arg:ident)*;)*) => {
        $(
            #[diagnostic::do_not_recommend]
            impl<F, Fut, M, $($arg,)*> GovernedHandler<(M, $($arg,)*)> for F
            where
                F: Fn($($arg),*) -> Fut,
                Fut: Future<Output: IsGoverned>,
            {
                type Policy = <Fut::Output as IsGoverned>::Policy;

                fn declared(_: Option<&Self>) -> Option<&'static HandlerPolicy> {
                    deadlines::declared_at(type_name::<F>())
                }
            }
        )*
    };
}

/// A handler with its own layer, as made by `Handler::layer`.
#[diagnostic::do_not_recommend]
impl<L, H, T, S> GovernedHandler<T> for Layered<L, H, T, S>
where
    H: GovernedHandler<T>,
{
    type Policy = H::Policy;

    fn declared(_: Option<&Self>) -> Option<&'static HandlerPolicy> {
        H::declared(None)
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> GovernedHandler<((),)> for F
where
    F: Fn() -> Fut,
    Fut: Future<Output: IsGoverned>,
{
    type Policy = <Fut::Output as IsGoverned>::Policy;

    fn declared(_: Option<&Self>) -> Option<&'static HandlerPolicy> {
        deadlines::declared_at(type_name::<F>())
    }
}

functions! {
    T1;
    T1 T2;
    T1 T2 T3;
    T1 T2 T3 T4;
    T1 T2 T3 T4 T5;
    T1 T2 T3 T4 T5 T6;
    T1 T2 T3 T4 T5 T6 T7;
    T1 T2 T3 T4 T5 T6 T7 T8;
    T1 T2 T3 T4 T5 T6 T7 T8 T9;
    T1 T2 T3 T4 T5 T6 T7 T8 T9 T10;
    T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11;
    T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12;
    T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 T13;
    T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 T13 T14;
    T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 T13 T14 T15;
    T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 T13 T14 T15 T16;
}
