//! The state that the tokens of one request share.

mod signal;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    signal::Signal,
    state::{Deadline, RequestState},
};
