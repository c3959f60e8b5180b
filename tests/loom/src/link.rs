//! One token out of many.

#[path = "../../../runtime/src/link/first.rs"]
mod first;

pub(crate) use first::First;
