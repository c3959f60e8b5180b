//! The three tokens that work may follow.
//!
//! | token | fires when | for |
//! |---|---|---|
//! | [`RequestToken`] | the client leaves, the deadline passes, or *stopping* begins | reads |
//! | [`DurableToken`] | the last moments of the grace begin | writes that must land |
//! | [`ShutdownToken`] | *stopping* begins; in a worker, when the requests have drained | workers |
//!
//! All three are axum extractors, cheap to clone, and hand out a
//! [`CancellationToken`](tokio_util::sync::CancellationToken) for other libraries.

mod any;
mod caller;
mod durable;
mod raw;
mod request;
mod shutdown;

pub(crate) use self::any::AnyToken;
pub(crate) use self::caller::{FollowedToken, SeenToken};
pub use self::{
    caller::CallerToken,
    durable::DurableToken,
    raw::RawToken,
    request::{RequestToken, RequestTokenHandle},
    shutdown::ShutdownToken,
};
