//! Headers that carry the time left: read from callers, written for callees.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

pub(crate) const GRPC: HeaderName = HeaderName::from_static("grpc-timeout");
pub(crate) const ENVOY: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// The largest number of eight digits.
const MOST_OF_GRPC: u128 = 99_999_999;
/// The largest number of fifteen digits: thirty thousand years, at which no clock here overflows.
const MOST_MILLIS: u128 = 999_999_999_999_999;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    /// Up to eight digits and a unit: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
    Grpc,
    Millis,
}

impl Format {
    pub(crate) fn parse(self, value: &HeaderValue) -> Option<Duration> {
        let text = value.to_str().ok()?;
        let time = match self {
            Self::Grpc => {
                let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
                let number = digits(number, 8)?;
                match unit {
                    "H" => Duration::from_secs(number * 3600),
                    "M" => Duration::from_secs(number * 60),
                    "S" => Duration::from_secs(number),
                    "m" => Duration::from_millis(number),
                    "u" => Duration::from_micros(number),
                    "n" => Duration::from_nanos(number),
                    _ => return None,
                }
            }
            Self::Millis => Duration::from_millis(digits(text, 15)?),
        };
        (!time.is_zero()).then_some(time)
    }

    /// Writes `left` as [`parse`](Self::parse) reads it. Rounds down, but never to zero, which is not a valid
    /// deadline.
    pub(crate) fn write(self, left: Duration) -> HeaderValue {
        let text = match self {
            Self::Grpc => {
                let seconds = u128::from(left.as_secs());
                // The finest unit in which `left` has at most eight digits loses the least.
                let (number, unit) = [
                    (left.as_nanos(), 'n'),
                    (left.as_micros(), 'u'),
                    (left.as_millis(), 'm'),
                    (seconds, 'S'),
                    (seconds / 60, 'M'),
                ]
                .into_iter()
                .find(|(number, _)| *number <= MOST_OF_GRPC)
                .unwrap_or(((seconds / 3600).min(MOST_OF_GRPC), 'H'));
                format!("{}{unit}", number.max(1))
            }
            Self::Millis => left.as_millis().clamp(1, MOST_MILLIS).to_string(),
        };
        HeaderValue::try_from(text).expect("digits and a letter are a header's value")
    }
}

/// Parses up to `most` digits and nothing else, because `parse` alone would take a sign.
fn digits(text: &str, most: usize) -> Option<u64> {
    let plain = text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: Duration = Duration::from_nanos(1);

    #[test]
    fn a_written_time_is_read_back_and_never_longer() {
        let mut left = NS;
        while let Some(longer) = left.checked_mul(3) {
            for left in [left.saturating_sub(NS), left, left + NS, longer / 2] {
                for (format, least) in [(Format::Grpc, NS), (Format::Millis, 1_000_000 * NS)] {
                    let value = format.write(left);
                    let read = format.parse(&value);
                    let read = read.unwrap_or_else(|| panic!("{value:?} of {left:?} is readable"));
                    assert!(read <= left.max(least), "{left:?} became {read:?}");
                }
            }
            left = longer;
        }
    }

    #[test]
    fn the_finest_unit_with_room_is_used() {
        for (nanos, text) in [
            (0, "1n"),
            (99_999_999, "99999999n"),
            (100_000_999, "100000u"),
            (100_000_000_000, "100000m"),
            (99_999_999_999_999_999, "99999999S"),
            (100_000_000_000_000_000, "1666666M"),
        ] {
            assert_eq!(Format::Grpc.write(Duration::from_nanos(nanos)), text);
        }
        assert_eq!(Format::Grpc.write(Duration::MAX), "99999999H");
        assert_eq!(Format::Millis.write(Duration::MAX), "999999999999999");
        assert_eq!(Format::Millis.write(1_999_999 * NS), "1");
    }
}
