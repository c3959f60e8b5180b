//! Times in texts for people.

use std::{fmt, time::Duration};

/// A time, shown in seconds to one decimal place: `1.5 s`.
///
/// The format of an `f64` would add 20 kB to every service.
#[derive(Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.subsec_millis() + 50) / 100;
        let seconds = self.0.as_secs().saturating_add(u64::from(tenths / 10));
        write!(f, "{seconds}.{} s", tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_to_a_tenth_of_a_second() {
        let shown = |ms| Seconds(Duration::from_millis(ms)).to_string();
        assert_eq!(
            [0, 49, 50, 1549, 1550].map(shown),
            ["0.0 s", "0.0 s", "0.1 s", "1.5 s", "1.6 s"]
        );
        assert_eq!([949, 950, 59_999].map(shown), ["0.9 s", "1.0 s", "60.0 s"]);
        assert_eq!(Seconds(Duration::MAX).to_string(), format!("{}.0 s", u64::MAX));
    }
}
