//! What the clones of one request's token share.

#[path = "../../runtime/src/token/state.rs"]
mod state;

pub(crate) use state::RequestState;
