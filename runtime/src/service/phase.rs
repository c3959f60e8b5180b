//! Where a service stands between its start and its end.

/// The phases of a shutdown, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Serving.
    Running,
    /// The signal came: not ready any more, still accepting for `drain_delay`.
    NotReady,
    /// No new connections; streams end; reads may finish within `read_grace`.
    Closing,
    /// *Stopping*: reads that are left end, durable work drains.
    Stopping,
    /// *Grace over*: the last moments.
    GraceOver,
    /// What is left was abandoned and named.
    Ended,
}

impl Phase {
    pub(crate) const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Running,
            1 => Self::NotReady,
            2 => Self::Closing,
            3 => Self::Stopping,
            4 => Self::GraceOver,
            _ => Self::Ended,
        }
    }

    /// What an operator reads while the service drains.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::NotReady => "not ready, still accepting",
            Self::Closing => "closing, reads may finish",
            Self::Stopping => "stopping, durable work drains",
            Self::GraceOver => "grace over, last moments",
            Self::Ended => "ended",
        }
    }
}
