//! A connection that the end of a drain cut, for the report.

use std::{fmt, time::Duration};

use serde_core::{Serialize, Serializer};

use super::work::InFlightWork;
use crate::{seconds::Seconds, serialize::serialize};

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// The connection waits for a request.
    Idle,
    /// The peer has not sent a whole request head yet.
    Head,
    /// The connection's requests are being answered.
    Answering,
    /// The connection was upgraded, such as to a WebSocket.
    Upgraded,
    /// The last answer is sent. The bytes that the peer still sends are discarded.
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

impl Serialize for ConnectionState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match self {
            Self::Head => "head",
            _ => self.as_str(),
        })
    }
}

/// A connection that was open when the grace was over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionCut {
    /// The peer's address.
    pub peer: String,
    /// `http/1.0`, `http/1.1`, `http/2`, or `unknown` if the peer sent no request.
    pub protocol: &'static str,
    /// The state that the connection was in.
    pub state: ConnectionState,
    /// How long the connection was open, in milliseconds when serialised.
    pub age: Duration,
    /// The requests that were being answered on it and that have ended with it.
    pub requests: Vec<InFlightWork>,
}

serialize!(ConnectionCut { peer, protocol, state, age: ms, requests });

impl fmt::Display for ConnectionCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = Seconds(self.age);
        write!(f, "{} ({}, {}, {age})", self.peer, self.protocol, self.state.as_str())?;
        for (n, work) in self.requests.iter().enumerate() {
            write!(f, "{} {work}", if n == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}
