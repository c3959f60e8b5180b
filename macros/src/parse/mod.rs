//! Parses attributes and functions to raw data, which `validate` checks.

mod args;
mod function;

pub(crate) use args::{Arg, RawArgs};
pub(crate) use function::Function;
