//! How work hands over to other work.

#[path = "../../runtime/src/runner/hand_over.rs"]
mod order;

pub(crate) use order::hand_over;
