//! Tests that disconnect the client at every `await` of your handlers, with the feature `testing`.
//!
//! [`disconnect_at_every_await`] sends one request many times and drops it each time at another suspension point.
//! After each drop it waits until work that follows through has ended, and then calls your check. The service may
//! be any that [`serve`](crate::serve) accepts, with attributes or without: the same test shows that a plain
//! handler loses a write and that an annotated handler keeps it.
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicU32, Ordering::SeqCst}};
//! use axum::{Router, extract::State, http::Request, routing::post};
//! use followthrough::{durable_write, testing::disconnect_at_every_await};
//!
//! #[derive(Clone, Default)]
//! struct Shop { charged: Arc<AtomicU32>, shipped: Arc<AtomicU32> }
//!
//! #[durable_write]
//! async fn buy(State(shop): State<Shop>) {
//!     tokio::task::yield_now().await;
//!     shop.charged.fetch_add(1, SeqCst);
//!     tokio::task::yield_now().await; // without the policy, a client that leaves here has paid for nothing
//!     shop.shipped.fetch_add(1, SeqCst);
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let shop = Shop::default();
//! let app = Router::new().route("/buy", post(buy)).with_state(shop.clone());
//! let request = Request::post("/buy").body(String::new()).unwrap();
//!
//! let summary = disconnect_at_every_await(app, request, async |_| {
//!     assert_eq!(shop.charged.load(SeqCst), shop.shipped.load(SeqCst));
//! })
//! .await;
//! assert!(summary.begun() > 0);
//! # }
//! ```
//!
//! [`Disconnects`] has the settings, such as a client on a real socket that closes, resets, or sends `RST_STREAM`.
//! With [`then_retry`](DisconnectAtEveryAwait::then_retry) the client comes back and repeats its request with the same
//! `Idempotency-Key`.
//! [`TestLifecycle`] is a lifecycle whose shutdown the test drives. The guide's page on
//! [testing](crate::guide::testing) begins with a real bug.
//!
//! # Licence
//!
//! The feature `testing` depends on `cooked-waker`, whose licence is MPL-2.0; every other dependency of this crate has
//! a permissive one. Enable the feature in `[dev-dependencies]`, so that the code is in no binary that you distribute.

mod answer;
mod check;
mod client;
mod control;
mod disconnect_run;
mod disconnects;
mod every_await;
mod exchange;
mod point;
mod request;
mod retry;
mod run;
mod summary;
mod trace;
mod trial;
mod watch;
mod watchdog;

pub use answer::Answer;
pub use check::Verdict;
pub use control::TestLifecycle;
pub use disconnect_run::{Await, DisconnectRun, HandlerPlace};
pub use disconnects::Disconnects;
pub use every_await::{DisconnectAtEveryAwait, disconnect_at_every_await};
pub use point::{Disconnect, Moment, Seed};
pub use request::Repeat;
pub use summary::{Failure, Summary};

#[doc(hidden)]
#[doc(hidden)]
pub use crate::handler::break_rescue;
