//! A client of either protocol that can leave at any moment.

mod http1;
mod http2;

use std::{io, net::SocketAddr, time::Duration};

/// The header with the time that a client waits, in milliseconds.
pub(crate) const TIMEOUT: &str = "x-timeout-ms";

const KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";

/// A request, whose body is [`UPLOAD`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) path: &'a str,
    /// How long the client waits, which it says in a header.
    pub(crate) timeout: Option<Duration>,
    /// The idempotency key.
    pub(crate) key: Option<&'a str>,
}

/// A response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: bool,
    /// Whether an earlier request with the same key received this answer.
    pub(crate) replayed: bool,
    pub(crate) body: String,
    /// Whether the body came to its end.
    pub(crate) whole: bool,
}

/// The body of a request, in two parts.
pub(crate) const UPLOAD: [&str; 2] = ["first", "second"];

impl Answer {
    /// Returns the outcome in the body of a problem document.
    pub(crate) fn outcome(&self) -> Option<&str> {
        self.body.split_once(r#""outcome":""#)?.1.split('"').next()
    }
}

/// A connection with a request on it.
pub(crate) enum Client {
    Http1(http1::Call),
    Http2(Box<http2::Call>),
}

impl Client {
    /// Connects, and sends a request with the first half of its body.
    pub(crate) async fn send(at: SocketAddr, http2: bool, request: Sent<'_>) -> io::Result<Self> {
        Ok(if http2 {
            Self::Http2(Box::new(http2::Call::send(at, request).await?))
        } else {
            Self::Http1(http1::Call::send(at, request).await?)
        })
    }

    /// Sends the second half, once. A service that has already answered may not take it.
    pub(crate) async fn finish(&mut self) {
        match self {
            Self::Http1(call) => call.finish().await,
            Self::Http2(call) => call.finish(),
        }
    }

    /// Waits for the response, or for as much of it as comes.
    ///
    /// # Cancel safety
    ///
    /// The next call continues with the bytes that have come.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        match self {
            Self::Http1(call) => call.answer().await,
            Self::Http2(call) => call.answer().await,
        }
    }

    /// Closes the connection, with FIN.
    pub(crate) async fn disconnect(self) {
        match self {
            Self::Http1(call) => call.disconnect(),
            Self::Http2(call) => call.disconnect().await,
        }
    }

    /// Closes the connection with RST, or resets the stream. The returned client keeps the
    /// connection of the stream open.
    pub(crate) fn reset(self) -> Option<Self> {
        match self {
            Self::Http1(call) => {
                call.reset();
                None
            }
            Self::Http2(mut call) => {
                call.reset();
                Some(Self::Http2(call))
            }
        }
    }

    /// Sends another request on the same connection, and waits for its end.
    pub(crate) async fn sibling(&mut self, path: &str) -> io::Result<()> {
        match self {
            Self::Http1(_) => Err(io::Error::other("HTTP/1 has one request at a time")),
            Self::Http2(call) => call.sibling(path).await,
        }
    }
}
