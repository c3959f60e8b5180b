//! What a connection's tasks wait with.

#[path = "../../runtime/src/serve/out.rs"]
mod out;
#[path = "../../runtime/src/serve/wakers.rs"]
mod wakers;

pub(crate) use self::{out::Out, wakers::Wakers};
