//! The types with which the tasks of a connection wait.

#[path = "../../../runtime/src/connection/held_frame.rs"]
mod held_frame;
#[path = "../../../runtime/src/connection/wakers.rs"]
mod wakers;

pub(crate) use self::{held_frame::HeldFrame, wakers::Wakers};
