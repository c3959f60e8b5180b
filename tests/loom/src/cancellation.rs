//! The state that the clones of one request's token share.

#[path = "../../../runtime/src/cancellation/state.rs"]
mod state;

pub(crate) use state::RequestState;
