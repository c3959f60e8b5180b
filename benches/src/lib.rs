//! What a policy costs, beside bare axum and beside what people write by hand.
//!
//! The services are in [`apps`], what their bodies do in [`work`]; a module of [`parts`] measures one
//! thing and gives a [`results::Table`]. The tables are kept in `results/results.json`, and
//! [`page`] makes a page of the guide of them.

pub mod apps;
mod calls;
pub mod page;
pub mod parts;
mod plot;
mod readme;
pub mod reasons;
pub mod results;
pub mod wire;
pub mod work;

pub use apps::{WAYS, Way};
pub use calls::{calls, on_threads, pending};
