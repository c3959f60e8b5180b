//! Reads stop when the client leaves. Writes follow through.
//!
//! In axum a handler is a future, and the server drops it when the client goes away, so every
//! `.await` can cut a write in half; deadlines and graceful shutdown cut the same way. This crate
//! lets a service say, on the handler or on one statement, what may be cut and what must land.
//!
//! ```
//! use followthrough::{DurableToken, RequestToken, cancellable};
//!
//! #[cancellable(read)]
//! #[deadline = "10s"]
//! async fn order(cancel: RequestToken) -> String {
//!     let price = quote(&cancel).await; // the client may leave, and nothing has happened
//!
//!     #[durable_write]
//!     let receipt = charge(price, &cancel).await; // from here on it runs to its end
//!
//!     receipt
//! }
//!
//! async fn quote(_: &RequestToken) -> u32 { 7 }
//! async fn charge(price: u32, _: &DurableToken) -> String { format!("paid {price}") }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! assert_eq!(order(RequestToken::never()).await.into_result().unwrap(), "paid 7");
//! # }
//! ```
//!
//! # Where to look
//!
//! - The attributes: [`macro@cancellable`], [`macro@durable_write`], [`macro@deadline`],
//!   [`macro@exempt`], [`macro@background`].
//! - What a handler returns: [`Governed`], [`Cancelled`], [`Cause`], [`Outcome`].
//! - The tokens: [`RequestToken`], [`DurableToken`], [`ShutdownToken`], and [`link`].
//! - Routing, with the compiler as the reviewer: [`Router`], [`routing`], and [`policy`] for closures.
//! - Calls to other services, under the deadline of the request: [`outbound`].
//! - Review: [`policies`]; for operators: [`Overrides`].
//! - The service: [`Lifecycle`], [`serve`], [`ShutdownReport`].
//! - Databases, whose work has to be cancelled on the server: the crates `followthrough-postgres` and
//!   `followthrough-sqlx-postgres`, and the page [`guide::databases`].
//! - Longer answers: the [`guide`].
//!
//! # The rules
//!
//! 1. The first cause of a request never changes; the status follows from what ended the wait.
//! 2. A body is polled before its signals are looked at: completion wins a tie.
//! 3. A body that is cancelled, or late, before it begins is never polled.
//! 4. A deadline counts from the arrival of the request and only ever comes nearer.
//! 5. The entry of a durable site, or of a `#[durable_write]` body, is the point of no return: it
//!    reads every signal, takes a permit, and from there the body runs to its end, through
//!    disconnect, deadline and shutdown within its grace.
//! 6. Past it, only a statement that was reopened with `#[cancellable(..)]` can be cut, by the
//!    client or a deadline, never by shutdown.
//! 7. A handler that calls another one shares its request with it. A begun write that the caller
//!    drops is an ERROR in the log; what a body cancels itself stays its own affair.
//! 8. A request's token covers the response body and never fires after the response was handed
//!    over whole.
//!
//! # What is not seen
//!
//! - A dropped future is all that a handler is told by hyper, so a `TimeoutLayer` outside looks like
//!   a client that left. Over HTTP/1, hyper does not notice one that leaves behind a pipelined
//!   request or an unread request body; [`serve`] does, other servers do not. Nobody does while more
//!   unread bytes wait than the receive window holds, unless the client resets the connection.
//! - Middleware that spawns the rest of a request takes it out of its lifecycle; a warning says so
//!   once. Without a lifecycle, a deadline counts from the handler's first poll, and neither *stopping* nor
//!   the client's leaving is heard. Durable work is waited for, named and counted all the same, as
//!   [`unlinked`](ShutdownReport::unlinked), [once it has begun](guide::servers#middleware-that-spawns).
//! - A read that calls durable handlers can be cut between them: put the calls into one
//!   `#[durable_write]` statement. An ERROR says when it happened. A `cooperative` handler that
//!   another one calls is dropped with it.
//! - *Stopping* reaches a request through its connection. A handler within somebody else's
//!   `FuturesUnordered` hears of it when it is next woken.
//! - A governed function that middleware calls is part of the request: its deadline, run out, ends
//!   the request.
//! - A body that blocks its thread cannot be dropped, only named: by the end of its shutdown, in the
//!   log and in the report. How long a poll has lasted is known from the shutdown on only.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod alarm;
mod cancellation;
mod cause;
mod connection;
mod count;
mod deadlines;
pub mod guide;
mod handler;
mod handler_policy;
pub mod integration;
mod layer;
mod lifecycle;
mod link;
pub mod outbound;
mod panic_message;
pub mod policy;
mod polling;
mod problem;
mod request;
pub mod routing;
mod run_until;
mod serve;
mod service;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod token;

pub use cause::{Cancelled, Cause, Outcome};
pub use deadlines::{
    CallerDeadlines, EffectiveDeadline, Origin, Overrides, OverridesError, Policies, policies,
};
pub use followthrough_macros::{background, cancellable, deadline, durable_write, exempt};
pub use handler::{Answer, Compensate, CompensationOutput, Governed, compensate};
pub use handler_policy::HandlerPolicy;
pub use layer::{LifecycleLayer, LifecycleService, ResponseBody, ResponseFuture};
pub use lifecycle::{BuildError, Lifecycle, LifecycleBuilder, Worker};
pub use link::{LinkSource, LinkedToken, link};
pub use request::{ClientGone, LastEvent};
pub use routing::Router;
#[cfg(unix)]
pub use serve::UnixPeer;
pub use serve::{Accepted, App, HandshakeIo, Listener, MapListener, Serve, serve};
pub use service::{
    BlockedHandler, CancelledRequests, CompensationCounts, ConnectionCut, ConnectionState,
    DurableCounts, FailedWorker, InFlightSnapshot, InFlightWork, OnWorkerExit, PhaseDurations,
    ShutdownReport, WorkKind,
};
pub use token::{DurableToken, RawToken, RequestToken, RequestTokenHandle, ShutdownToken};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
