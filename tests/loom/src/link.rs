//! A token that links several others.

#[path = "../../../runtime/src/link/first.rs"]
mod first;

pub(crate) use first::First;
