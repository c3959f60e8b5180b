//! What the report says of a connection that the end of a drain cut.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::work::{InFlightWork, millis};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConnectionState {
    /// Nothing: it waits for a request.
    Idle,
    /// It has not sent a whole request head yet.
    Head,
    /// Its requests are being answered.
    Answering,
    /// Somebody took it over, such as a WebSocket.
    Upgraded,
    /// Its last answer is sent. What the peer still sends is discarded.
    Closing,
}

impl ConnectionState {
    pub(crate) const ALL: [Self; 5] =
        [Self::Idle, Self::Head, Self::Answering, Self::Upgraded, Self::Closing];

    fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "request head incomplete",
            Self::Answering => "answering",
            Self::Upgraded => "upgraded",
            Self::Closing => "closing",
        }
    }
}

/// A connection that was open when the grace was over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionCut {
    /// The peer's address.
    pub peer: String,
    /// `http/1.0`, `http/1.1`, `http/2`, or `unknown` if it never said.
    pub protocol: &'static str,
    /// What it was doing.
    pub state: ConnectionState,
    /// How long it has been open, in milliseconds when serialised.
    #[serde(rename = "age_ms", serialize_with = "millis")]
    pub age: Duration,
    /// The requests that were being answered on it, as far as they let go of it.
    pub requests: Vec<InFlightWork>,
}

impl fmt::Display for ConnectionCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = self.age.as_secs_f64();
        write!(f, "{} ({}, {}, {age:.1} s)", self.peer, self.protocol, self.state.as_str())?;
        for (n, work) in self.requests.iter().enumerate() {
            write!(f, "{} {work}", if n == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}
