//! Writes the code of a model. This stage cannot fail. Each handler becomes one call of one runtime function.

mod fallback;
mod handler;
mod inputs;
mod output;
mod policy;
mod worker;

pub(crate) use fallback::fallback;
pub(crate) use handler::handler;
pub(crate) use worker::worker;
