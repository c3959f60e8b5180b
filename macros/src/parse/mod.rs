//! Syntax to raw data: nothing is judged here beyond its shape.

mod args;
mod function;

pub(crate) use args::{Arg, RawArgs};
pub(crate) use function::Function;
