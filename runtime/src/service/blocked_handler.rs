//! A handler that blocked the runtime until the end of a shutdown.

use std::{fmt, time::Duration};

use crate::{
    handler_policy::{HandlerPolicy, Place},
    seconds::Seconds,
    serialize::serialize,
};

/// A handler that blocked a thread of the runtime, and so the shutdown. Move waits without
/// `.await` and long computations into [`tokio::task::spawn_blocking`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockedHandler {
    /// The handler's name.
    pub handler: String,
    /// `file:line` of the handler.
    pub location: String,
    /// The least time that one poll of it has lasted, in milliseconds when serialised. The time before the
    /// shutdown is not known.
    pub at_least: Duration,
}

serialize!(BlockedHandler { handler, location, at_least: ms });

impl BlockedHandler {
    pub(crate) fn new(policy: &'static HandlerPolicy, at_least: Duration) -> Self {
        let location = Place { policy, site: None }.to_string();
        Self { handler: policy.name().to_owned(), location, at_least }
    }
}

impl fmt::Display for BlockedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handler, location, at_least } = self;
        write!(f, "{handler} (at {location}, for {} at least)", Seconds(*at_least))
    }
}
