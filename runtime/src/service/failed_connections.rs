//! Counts of the connections that ended before or without a request.

use std::fmt;

use crate::{
    repeated::{Event, RepeatedEvents},
    serialize::serialize,
};

/// Connections under [`serve`](crate::serve) that failed before a request or in its head, since the start of the
/// service. A client can repeat each of these, so the log has their counts and not a line for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedConnections {
    /// `accept` failed, for want of file descriptors for example.
    pub not_accepted: u64,
    /// The peer was gone before the connection was accepted.
    pub gone_before_accept: u64,
    /// TLS, or the handshake of a [`Listener`](crate::Listener), failed.
    pub failed_handshakes: u64,
    /// The head of a request was malformed.
    pub malformed_heads: u64,
    /// No whole head came within `header_read_timeout`, or no request within `idle_timeout`.
    pub silent: u64,
}

serialize!(FailedConnections {
    not_accepted,
    gone_before_accept,
    failed_handshakes,
    malformed_heads,
    silent
});

impl FailedConnections {
    pub(crate) fn of(events: &RepeatedEvents) -> Self {
        Self {
            not_accepted: events.count(Event::NotAccepted),
            gone_before_accept: events.count(Event::GoneBeforeAccept),
            failed_handshakes: events.count(Event::Handshake),
            malformed_heads: events.count(Event::Head),
            silent: events.count(Event::Silent),
        }
    }
}

impl fmt::Display for FailedConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} not accepted, {} gone before that, {} failed handshakes, {} malformed heads, {} silent",
            self.not_accepted,
            self.gone_before_accept,
            self.failed_handshakes,
            self.malformed_heads,
            self.silent
        )
    }
}
