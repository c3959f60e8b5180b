//! The phases of a service, from its start to its end.

use serde_core::{Serialize, Serializer};

/// The phases of a service, in their order. Serialised, a phase is a word such as `not_ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Phase {
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
    /// All phases, in their order.
    pub(crate) const ALL: [Self; 6] = [
        Self::Running,
        Self::NotReady,
        Self::Closing,
        Self::Stopping,
        Self::GraceOver,
        Self::Ended,
    ];

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

    /// Returns the phase as a stable word, as used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::NotReady => "not_ready",
            Self::Closing => "closing",
            Self::Stopping => "stopping",
            Self::GraceOver => "grace_over",
            Self::Ended => "ended",
        }
    }

    /// Returns the phase and what happens in it, for the log.
    pub(crate) const fn description(self) -> &'static str {
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

impl Serialize for Phase {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}
