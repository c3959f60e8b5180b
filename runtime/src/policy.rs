//! What a handler declared: the markers in its return type and its description at run time; and
//! the policies for closures, on which no attribute can stand.

pub use crate::{
    handler_policy::{Exempt, HandlerPolicy, Mode, Place, Policy, Read, Site, Stream, Write},
    routing::closure::{GovernedClosure, durable_write, exempt, idempotent_write, read, stream},
};
