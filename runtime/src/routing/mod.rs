//! Routing for governed handlers, with axum's names and compile-time checks.
//!
//! [`get`], [`post`] and their siblings accept a handler only if it has a policy, chained (`get(a).post(b)`) or
//! not, and [`get`], [`head`], [`options`], [`trace`] and [`any`] accept only a handler that does not write, unless its
//! attribute has a `safe_method = "…"`. [`on`] checks the same when the router is built. [`Router`] takes the
//! [`MethodRouter`]s. Both wrap axum's own types, so paths, extractors, layers, state and nesting work as in
//! axum.
//!
//! # Limits
//!
//! - A handler that calls a function which writes and has no policy.
//! - The routes of [`Router::merge_axum`], [`Router::route_service`] and its siblings, which need a reason for that,
//!   and of a plain [`axum::Router`], which takes any handler.
//! - The method QUERY, which axum 0.8 does not route.

mod announce;
pub(crate) mod closure;
mod handler;
mod method_filter;
mod method_router;
mod router;
mod served;

pub use handler::{GovernedHandler, IsGoverned, SafeMethodPolicy};
pub use method_filter::MethodFilter;
pub use method_router::{
    GovernedMethodRouter, MethodRouter, any, connect, delete, get, head, on, options, patch, post,
    put, trace,
};
pub use router::{GovernedRouter, Router};

pub use crate::routes::{RouteInfo, Routes};
