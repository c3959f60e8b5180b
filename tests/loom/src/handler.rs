//! The order in which work hands over to other work.

#[path = "../../../runtime/src/handler/hand_over.rs"]
mod order;

pub(crate) use order::hand_over;
