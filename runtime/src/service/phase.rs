//! The phases of a service, from its start to its end.

/// The phases of a service, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The service serves.
    Running,
    /// The signal has come. The service reports not ready, and accepts connections for `drain_delay`.
    NotReady,
    /// The service accepts no connections; streams end; reads may finish within `read_grace`.
    Closing,
    /// *Stopping*: the reads that are left end, and durable work drains.
    Stopping,
    /// *Grace over*: durable tokens have fired, and the work has its last moments.
    GraceOver,
    /// The work that is left is abandoned and logged.
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

    /// Returns the name of the phase for the log.
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
