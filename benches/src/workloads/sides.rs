//! The compared servers.

use crate::wire::SERVERS;

/// A server of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// `axum::serve` as it is.
    Axum,
    /// `axum::serve` with `TCP_NODELAY`, which `followthrough::serve` sets, too.
    NoDelay,
    /// A second server of the same kind, whose ratios show the noise.
    NoDelayAgain,
    /// `followthrough::serve` without a policy.
    Serve,
    /// `followthrough::serve` with `#[cancellable(read)]`.
    Read,
    /// `followthrough::serve` with `#[cancellable(stream)]`.
    Stream,
    /// `followthrough::serve` with `#[durable_write]`.
    Durable,
}

impl Side {
    /// All, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Axum,
        Self::NoDelay,
        Self::NoDelayAgain,
        Self::Serve,
        Self::Read,
        Self::Stream,
        Self::Durable,
    ];

    /// Returns the name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Axum => "bare",
            Self::NoDelay => "bare_nodelay",
            Self::NoDelayAgain => "bare_nodelay_again",
            Self::Serve => "serve",
            Self::Read => "read",
            Self::Stream => "stream",
            Self::Durable => "durable_write",
        }
    }

    /// Returns the side of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|side| side.name() == name)
    }

    /// Returns the name in the tables.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::NoDelayAgain => "the same, a second process",
            // The servers of the tables on the wire have the same names.
            _ => SERVERS.iter().find(|server| server.name == self.name()).map_or("", |s| s.title),
        }
    }

    /// Returns whether this crate serves it.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Serve | Self::Read | Self::Stream | Self::Durable)
    }

    /// Returns whether its connections have `TCP_NODELAY`.
    pub(super) const fn has_nodelay(self) -> bool {
        !matches!(self, Self::Axum)
    }
}

#[cfg(test)]
mod tests {
    use super::Side;

    #[test]
    fn every_side_has_a_name_and_a_title_of_its_own() {
        for side in Side::ALL {
            assert_eq!(Side::of(side.name()), Some(side));
            assert!(!side.title().is_empty(), "{side:?}");
            let alike = Side::ALL.iter().filter(|other| other.title() == side.title());
            assert_eq!(alike.count(), 1, "{side:?}");
        }
        assert_eq!(Side::of("trillium"), None);
    }
}
