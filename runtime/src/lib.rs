//! Reads stop when the client leaves. Writes follow through.

mod ambient;
mod cause;
mod governed;
mod lifecycle;
mod link;
pub mod policy;
mod problem;
mod runner;
mod serve;
mod site;
mod token;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use cause::{Cancelled, Cause, Outcome};
pub use followthrough_macros::{background, cancellable, deadline, durable_write, exempt};
pub use governed::Governed;
pub use lifecycle::{
    BuildError, CancelledRequests, Counts, InFlightSnapshot, Lifecycle, LifecycleBuilder,
    LifecycleLayer, LifecycleService, ResponseBody, ResponseFuture, ShutdownReport, Work, WorkKind,
    Worker,
};
pub use link::{LinkSource, LinkedToken, link};
pub use policy::HandlerPolicy;
pub use runner::{Compensate, compensate};
pub use serve::{Serve, serve};
pub use token::{DurableToken, RawToken, RequestToken, RequestTokenHandle, ShutdownToken};
