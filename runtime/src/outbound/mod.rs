//! Calls to other services, which end with the request that makes them.
//!
//! A call is made under a token, which decides how long it may take and which signals end it:
//!
//! | token | the callee is told | the call ends with |
//! |---|---|---|
//! | [`RequestToken`](crate::RequestToken) | the remaining time | a disconnect, the deadline, *stopping* |
//! | [`DurableToken`](crate::DurableToken) | nothing | the last moments of the grace |
//! | [`ShutdownToken`](crate::ShutdownToken) | nothing | the signal to stop |
//! | `CancellationToken` | as with the running handler's token | that token, and the running handler's token |
//! | [`LinkedToken`](crate::LinkedToken) | the same, or the time until the link's deadline | the link, and the running handler's token |
//!
//! [`DeadlineLayer`] is for any client that is a tower service, and `RequestBuilderExt` (feature `reqwest`) for
//! reqwest. [`DeadlineHeaders`] chooses the headers that the callee receives, and
//! [`CallerDeadlines`](crate::CallerDeadlines) reads them there.
//!
//! - A token that has fired, or a deadline that has passed, opens no connection.
//! - The call is polled before its token, so a response in the same instant wins.
//! - The token also covers the response body. The deadline of a handler is lifted once its own response is sent,
//!   and then also for a body that it passes on.
//! - No task is spawned. Dropping a call drops the client's future.
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
