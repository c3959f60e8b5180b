//! Routing for governed handlers, with axum's names and compile-time checks.
//!
//! [`get`], [`post`] and their siblings accept a handler only if it has a policy, chained (`get(a).post(b)`) or
//! not, and [`get`], [`head`], [`options`] and [`any`] accept only a handler that does not write. [`Router`] takes
//! the [`MethodRouter`]s. Both wrap axum's own types, so paths, extractors, layers, state and nesting work as in
//! axum.
//!
//! # Limits
//!
//! - A handler that calls a function which writes and has no policy.
//! - The routes of [`Router::merge_axum`], which needs a reason for that, and of a plain [`axum::Router`], which
//!   takes any handler.

mod announce;
pub(crate) mod closure;
mod handler;
mod method_router;
mod router;

pub use handler::{GovernedHandler, IsGoverned, ReadOnly};
pub use method_router::{MethodRouter, any, delete, get, head, options, patch, post, put};
pub use router::{GovernedRouter, Router};
