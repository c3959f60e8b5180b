//! The cost of a policy, beside bare axum and beside hand-written code.
//!
//! The services are in [`apps`], and their bodies in [`work`]. Each module of [`parts`] measures
//! one thing and returns a [`results::Table`]. The tables are stored in `results/results.json`, and
//! [`page`] renders a page of the guide from them.

pub mod apps;
mod calls;
mod goals;
pub mod page;
pub mod parts;
mod plot;
mod readme;
pub mod reasons;
pub mod results;
pub mod wire;
pub mod work;
pub mod workloads;

pub use apps::{WAYS, Way};
pub use calls::{calls, on_threads, pending};
