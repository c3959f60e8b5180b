//! Reads stop when the client leaves. Writes follow through.
//!
//! In axum a handler is a future, and the server drops it when the client disconnects, so every `.await` can
//! cut a write in half. Deadlines and graceful shutdown cut in the same place. With this crate an attribute, on
//! the handler or on one statement, says which work may be cut and which must land.
//!
//! ```
//! use followthrough::{DurableToken, RequestToken, cancellable};
//!
//! #[cancellable(read)]
//! #[deadline = "10s"]
//! async fn order(cancel: RequestToken) -> String {
//!     let price = quote(&cancel).await; // a disconnect ends the handler here
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
//! - The result of a handler: [`Governed`], [`Cancelled`], [`Cause`], [`Outcome`].
//! - The tokens: [`RequestToken`], [`DurableToken`], [`ShutdownToken`], and [`link`].
//! - Routing, with the compiler as the reviewer: [`Router`], [`routing`], and [`policy`] for closures. The policies in
//!   an `OpenAPI` document: [`guide::openapi`].
//! - Calls to other services, under the deadline of the request: [`outbound`].
//! - Review: [`policies`]; for operators: [`Overrides`].
//! - The service: [`Lifecycle`], [`serve`], [`ShutdownReport`].
//! - Databases, whose work has to be cancelled on the server: the crates `followthrough-postgres` and
//!   `followthrough-sqlx-postgres`, and the page [`guide::databases`].
//! - Retries that get the one answer of their write: [`idempotency`], the crate `followthrough-idempotency`, and the page
//!   [`guide::idempotency`].
//! - Messages that leave with their write: the crate `followthrough-outbox`, and the page [`guide::outbox`]. Engines for work
//!   beyond the process: [`guide::one_process`].
//! - Log events, one by one: [`guide::logs`].
//! - Small services, one a question: [`guide::recipes`].
//! - Longer answers: the [`guide`].
//!
//! # The laws
//!
//! [`guide::laws`] has all of them, numbered, with the tests that hold each. In short:
//!
//! - The first cause of a request never changes (law 1), and completion wins a tie (law 2).
//! - A body that is cancelled, or late, before it begins is never polled (law 3).
//! - A deadline counts from the arrival of the request and only ever comes nearer (law 4).
//! - The entry of a durable statement, or of a `#[durable_write]` body, is the point of no return: the entry
//!   reads every signal and takes a permit, and from there the body runs to its end, through disconnect,
//!   deadline and shutdown within its grace (laws 7 and 14).
//! - Past it, only a statement that was reopened with `#[cancellable(..)]` can be cut, by the client or a
//!   deadline and never by shutdown (law 8).
//! - A handler that calls another one shares its request with it (law 10). Cancellation that a body makes
//!   itself still fires (law 11).
//! - A request's token covers the response body and never fires after the response was handed over whole
//!   (law 12).
//!
//! # Limits
//!
//! - hyper tells a handler of a disconnect only by dropping its future, so a `TimeoutLayer` outside looks like
//!   a client that left. Over HTTP/1, hyper does not notice a disconnect behind a pipelined request or an
//!   unread request body; [`serve`] notices both, other servers do not. While more unread bytes wait than the
//!   receive window holds, no server notices a disconnect, unless the client resets the connection.
//! - Middleware that spawns the rest of a request takes it out of its lifecycle; a warning says so
//!   once. Without a lifecycle, a deadline counts from the handler's first poll, and neither *stopping* nor
//!   the client's leaving is heard. A shutdown waits for such durable work, [once it has
//!   begun](guide::servers#middleware-that-spawns), and counts it as [`unlinked`](ShutdownReport::unlinked).
//! - A read that calls durable handlers can be cut between them: put the calls into one
//!   `#[durable_write]` statement. An ERROR says when it happened. A `cooperative` handler that
//!   another one calls is dropped with it.
//! - *Stopping* reaches a request through its connection. A handler in a foreign `FuturesUnordered` hears of
//!   *stopping* when it is next woken.
//! - A governed function that middleware calls is part of the request: its deadline, run out, ends
//!   the request.
//! - A body that blocks its thread cannot be dropped. The shutdown names it by its end, in the log and in the
//!   report. The duration of a poll is known from the shutdown on only.

// docs.rs says which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod alarm;
mod cancellation;
pub mod catalogue;
mod cause;
mod connection;
mod count;
mod deadlines;
mod escaped;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod exporters;
pub mod guide;
mod handler;
mod handler_policy;
pub mod idempotency;
pub mod integration;
pub mod layer;
mod lifecycle;
mod link;
pub mod observe;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod outbound;
mod panic_message;
pub mod policy;
mod polling;
mod problem;
mod repeated;
pub mod report;
mod request;
mod routes;
pub mod routing;
mod run_until;
mod seconds;
mod serialize;
mod serve;
mod service;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod token;

pub use cause::{Cancelled, Cause, Outcome};
pub use deadlines::{CallerDeadlines, Overrides, OverridesError, policies};
pub use followthrough_macros::{background, cancellable, deadline, durable_write, exempt};
pub use handler::{Answer, Compensate, CompensationOutput, Governed, compensate};
pub use handler_policy::HandlerPolicy;
pub use idempotency::{Idempotency, IdempotencyKey, MemoryStore, Scope};
pub use lifecycle::{BuildError, Lifecycle, LifecycleBuilder, ReadinessChecks, Tracked, Worker};
pub use link::{LinkSource, LinkedToken, link};
pub use request::{ClientGone, LastEvent};
pub use routing::Router;
#[cfg(unix)]
pub use serve::UnixPeer;
pub use serve::{Accepted, App, HandshakeIo, Listener, MapListener, Serve, serve};
pub use service::{OnWorkerExit, ShutdownReport};
pub use token::{DurableToken, RawToken, RequestToken, RequestTokenHandle, ShutdownToken};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
