//! Calls to other services that end with the work that they are made for.
//!
//! A call goes under a token, which says how long it may take and what ends it:
//!
//! | under | the callee is told | the call ends with |
//! |---|---|---|
//! | [`RequestToken`](crate::RequestToken) | what remains of the deadline | the client that leaves, the deadline, *stopping* |
//! | [`DurableToken`](crate::DurableToken) | nothing | the last moments of the grace |
//! | [`ShutdownToken`](crate::ShutdownToken) | nothing | the signal to stop |
//! | `CancellationToken` | as the handler that is running | that token, and as the handler that is running |
//!
//! [`DeadlineLayer`] is for any client that is a tower service; `RequestBuilderExt` (feature
//! `reqwest`) for reqwest. [`DeadlineHeaders`] says by which headers the callee is told, and
//! [`CallerDeadlines`](crate::CallerDeadlines) reads them there.
//!
//! - A token that has fired, or a deadline that has passed, opens no connection.
//! - The call is polled before its token: an answer in the same instant wins.
//! - The token covers the body of the answer, too. Once the handler's own answer is on its way and its
//!   deadline therefore lifted, so is that of a body that it passes on.
//! - No task is spawned. Dropping a call drops what it does.
//!
//! The [guide](crate::guide::calls) has more examples.

mod body;
mod call;
#[cfg(feature = "reqwest")]
mod client;
mod error;
mod headers;
mod layer;
mod under;

#[cfg(feature = "reqwest")]
pub use client::{Call, RequestBuilderExt};

pub use self::{
    body::CallBody,
    error::{CallError, CancelledCall},
    headers::DeadlineHeaders,
    layer::{CallFuture, DeadlineLayer, DeadlineService},
    under::CallToken,
};
