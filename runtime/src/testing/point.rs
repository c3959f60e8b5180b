//! The position, the moment and the kind of a disconnect.

use std::{fmt, str::FromStr};

/// The way in which the client disconnects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Disconnect {
    /// The request's future is dropped in the process, as a server drops it.
    Drop,
    /// HTTP/1 over loopback: the socket is closed.
    Http1Close,
    /// HTTP/1 over loopback: the connection is reset.
    Http1Reset,
    /// HTTP/2 over loopback: the socket is closed.
    Http2Close,
    /// HTTP/2 over loopback: the connection is reset.
    Http2Reset,
    /// HTTP/2 over loopback: `RST_STREAM`, and the connection stays.
    Http2StreamReset,
}

impl Disconnect {
    /// The ways that use a real client and a real server.
    pub const OVER_THE_WIRE: [Self; 5] = [
        Self::Http1Close,
        Self::Http1Reset,
        Self::Http2Close,
        Self::Http2Reset,
        Self::Http2StreamReset,
    ];

    const ALL: [Self; 6] = [
        Self::Drop,
        Self::Http1Close,
        Self::Http1Reset,
        Self::Http2Close,
        Self::Http2Reset,
        Self::Http2StreamReset,
    ];

    pub(super) const fn is_http2(self) -> bool {
        matches!(self, Self::Http2Close | Self::Http2Reset | Self::Http2StreamReset)
    }

    pub(super) const fn resets_connection(self) -> bool {
        matches!(self, Self::Http1Reset | Self::Http2Reset)
    }
}

/// Lets one way be passed in the place of several.
impl IntoIterator for Disconnect {
    type Item = Self;
    type IntoIter = std::iter::Once<Self>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "dropped in the process",
            Self::Http1Close => "HTTP/1, closed",
            Self::Http1Reset => "HTTP/1, reset",
            Self::Http2Close => "HTTP/2, closed",
            Self::Http2Reset => "HTTP/2, connection reset",
            Self::Http2StreamReset => "HTTP/2, RST_STREAM",
        })
    }
}

/// The moment at an `await` at which the client disconnects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// As soon as the request is suspended.
    Waiting,
    /// After the request was woken, and before it is polled.
    Woken,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "while it waited",
            Self::Woken => "when it had been woken",
        })
    }
}

/// A disconnect.
///
/// Its position is the number of distinct `await`s reached so far, and the number of suspensions since the last
/// new one, because the number of suspensions at one `await` of a real database differs from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) stage: u16,
    pub(super) wait: u16,
    pub(super) moment: Moment,
    pub(super) by: Disconnect,
    /// Decides where the request's body is split in two.
    pub(super) entropy: u16,
}

/// A disconnect as a number. Repeat it with [`Disconnects::replay`](super::Disconnects::replay), or with
/// `FOLLOWTHROUGH_SEED=0x… cargo test …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(u64);

impl From<Point> for Seed {
    fn from(point: Point) -> Self {
        let by = Disconnect::ALL.iter().position(|by| *by == point.by).unwrap_or_default() as u64;
        let head = by << 4 | u64::from(point.moment == Moment::Woken);
        let [stage, wait, entropy] = [point.stage, point.wait, point.entropy].map(u64::from);
        Self(head << 48 | stage << 32 | wait << 16 | entropy)
    }
}

impl Seed {
    pub(super) fn point(self) -> Point {
        let [head, stage, wait, entropy] = [48, 32, 16, 0]
            .map(|shift| u16::try_from(self.0 >> shift & 0xffff).unwrap_or_default());
        Point {
            stage,
            wait,
            moment: if head & 1 != 0 { Moment::Woken } else { Moment::Waiting },
            by: Disconnect::ALL[usize::from(head >> 4) % Disconnect::ALL.len()],
            entropy,
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#016x}", self.0)
    }
}

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim().trim_start_matches("0x");
        u64::from_str_radix(digits, 16).map(Self).map_err(|_| {
            format!(
                "`{text}` is not a seed: expected the number that a failure printed, such as `{}`",
                Self(1 << 48)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_point() {
        for by in Disconnect::ALL {
            for moment in [Moment::Waiting, Moment::Woken] {
                for (stage, wait) in [(0, 1), (3, 500), (u16::MAX, 0)] {
                    let point = Point { stage, wait, moment, by, entropy: 0xbeef };
                    let seed = Seed::from(point);
                    assert_eq!(seed.point(), point);
                    assert_eq!(seed.to_string().parse(), Ok(seed));
                }
            }
        }
    }

    #[test]
    fn a_malformed_seed_is_an_error() {
        let refused = "tuesday".parse::<Seed>().unwrap_err();
        assert!(refused.contains("`tuesday` is not a seed"), "{refused}");
    }
}
