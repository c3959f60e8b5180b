//! How a client leaves.

use std::time::Instant;

/// A way to leave a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// `FIN`, and whatever comes back is refused.
    Close,
    /// `RST`: the socket lingers for no time.
    Reset,
    /// `FIN`, and the client still reads.
    HalfClose,
}

impl Leaving {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Close, Self::Reset, Self::HalfClose];
}

/// A client that has left.
#[derive(Debug)]
pub struct Left<C> {
    /// When it acted.
    pub at: Instant,
    /// What it still reads, after a half-close.
    pub kept: Option<C>,
}
