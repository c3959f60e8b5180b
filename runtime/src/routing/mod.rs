//! Routing for governed handlers: axum's names, and the compiler as the reviewer.
//!
//! [`get`], [`post`] and their siblings take a handler only if it has a policy, chained
//! (`get(a).post(b)`) or not, and [`get`], [`head`], [`options`] and [`any`] only one that does not
//! write. [`Router`] takes what they make. Behind that stand axum's own types: paths,
//! extractors, layers, state and nesting are as they are there.
//!
//! # What is not seen
//!
//! - A handler that calls a function without a policy which writes.
//! - What [`Router::merge_axum`] lets in, which is what its reason is for, and a plain
//!   [`axum::Router`], which takes annotated handlers as well as any other.

mod announce;
pub(crate) mod closure;
mod handler;
mod method_router;
mod router;

pub use handler::{GovernedHandler, IsGoverned, ReadOnly};
pub use method_router::{MethodRouter, any, delete, get, head, options, patch, post, put};
pub use router::{GovernedRouter, Router};
