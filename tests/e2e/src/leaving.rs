//! How a client leaves.

use std::time::Instant;

/// A way to leave a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Closes the socket with `FIN`. The kernel refuses later bytes of the server.
    Close,
    /// Closes the socket with `RST`, by a linger time of zero.
    Reset,
    /// Sends `FIN` and reads on.
    HalfClose,
}

impl Leaving {
    /// All ways to leave.
    pub const ALL: [Self; 3] = [Self::Close, Self::Reset, Self::HalfClose];
}

/// A client that has left.
#[derive(Debug)]
pub struct Left<C> {
    /// The moment at which the client left.
    pub at: Instant,
    /// The half that still reads, after a half-close.
    pub kept: Option<C>,
}
