//! The three tokens that work may follow.
//!
//! | token | fires when | for |
//! |---|---|---|
//! | [`RequestToken`] | the client leaves, the deadline passes, or *stopping* begins | reads |
//! | [`DurableToken`] | the last moments of the grace begin | writes that must land |
//! | [`ShutdownToken`] | *stopping* begins; in a worker, when the requests have drained | workers |
//!
//! All three are axum extractors and cheap to clone. They convert into a
//! [`CancellationToken`](tokio_util::sync::CancellationToken) for other libraries and into a
//! [`LinkedToken`](crate::LinkedToken), which fires with the first of several tokens.

mod any;
mod caller;
mod durable;
mod raw;
mod request;
mod shutdown;

/// Makes a link of one token, so that it can be linked with tokens of other kinds.
macro_rules! links {
    ($($token:ty),+) => {$(
        impl From<$token> for crate::link::LinkedToken {
            fn from(token: $token) -> Self {
                token.token().into()
            }
        }
    )+};
}

links!(RequestToken, DurableToken, ShutdownToken);

pub(crate) use self::any::AnyToken;
pub(crate) use self::caller::{FollowedToken, SeenToken};
pub use self::{
    caller::CallerToken,
    durable::DurableToken,
    raw::RawToken,
    request::{RequestToken, RequestTokenHandle},
    shutdown::ShutdownToken,
};
