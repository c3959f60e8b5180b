//! The policy types in the return types of handlers, their run-time descriptions, and the policies for closures,
//! which cannot have attributes.

pub use crate::{
    handler_policy::{
        Exempt, HandlerPolicy, Mode, Place, Policy, Read, SafeMethodWrite, Site, Stream, Write,
    },
    routing::closure::{GovernedClosure, durable_write, exempt, idempotent_write, read, stream},
};
