//! The types with which the tasks of a connection wait.

#[path = "../../../runtime/src/connection/held_bytes.rs"]
mod held_bytes;
#[path = "../../../runtime/src/connection/wakers.rs"]
mod wakers;

pub(crate) use self::{held_bytes::HeldBytes, wakers::Wakers};
