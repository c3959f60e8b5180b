//! Headers that tell a callee the remaining time.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::deadlines::{ENVOY, Format, GRPC};

/// The headers in which a callee is told the remaining time of its caller.
///
/// The time is rounded down, so that the callee never gets more time than is left, but not to zero: less than a
/// millisecond is written as one millisecond if the header has no smaller unit. A header of the request with a
/// shorter time stays. Without a deadline no header is written.
///
/// A callee that uses this crate reads them with [`CallerDeadlines`](crate::CallerDeadlines).
///
/// # Examples
///
/// ```
/// use followthrough::outbound::{DeadlineHeaders, DeadlineLayer};
/// use http::HeaderName;
///
/// let headers =
///     DeadlineHeaders::new().grpc_timeout().header(HeaderName::from_static("x-timeout-ms"));
/// let layer = DeadlineLayer::new().forward(headers);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "no header is sent until a call or a layer forwards it"]
pub struct DeadlineHeaders {
    headers: Vec<(HeaderName, Format)>,
}

impl DeadlineHeaders {
    /// Creates an empty set of headers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `grpc-timeout`, such as `250000u`: up to eight digits and a unit, as gRPC specifies.
    pub fn grpc_timeout(self) -> Self {
        self.writing(GRPC, Format::Grpc)
    }

    /// Adds `x-envoy-expected-rq-timeout-ms`, such as `250`, in whole milliseconds.
    pub fn envoy(self) -> Self {
        self.writing(ENVOY, Format::Millis)
    }

    /// Adds your own header, in whole milliseconds.
    pub fn header(self, name: HeaderName) -> Self {
        self.writing(name, Format::Millis)
    }

    fn writing(mut self, name: HeaderName, format: Format) -> Self {
        self.headers.push((name, format));
        self
    }

    pub(super) fn write(&self, map: &mut HeaderMap, left: Duration) {
        for (name, format) in &self.headers {
            let mut values = map.get_all(name).iter();
            let said = match (values.next(), values.next()) {
                (Some(value), None) => format.parse(value),
                _ => None,
            };
            if said.is_none_or(|said| said > left) {
                map.insert(name.clone(), format.write(left));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(before: &[&'static str], left: Duration) -> Vec<String> {
        let name = HeaderName::from_static("x-timeout-ms");
        let mut map = HeaderMap::new();
        for value in before {
            map.append(&name, http::HeaderValue::from_static(value));
        }
        DeadlineHeaders::new().header(name.clone()).write(&mut map, left);
        map.get_all(name).iter().map(|value| value.to_str().unwrap_or("").to_owned()).collect()
    }

    #[test]
    fn what_is_there_stands_only_if_it_says_less() {
        let left = Duration::from_millis(250);
        for (before, after) in [
            (&[][..], "250"),
            (&["100"], "100"),
            (&["250"], "250"),
            (&["251"], "250"),
            (&["0"], "250"),
            (&["-1"], "250"),
            (&["soon"], "250"),
            (&[""], "250"),
            (&["99999999999999999999"], "250"),
            (&["100", "200"], "250"),
        ] {
            assert_eq!(written(before, left), [after], "{before:?}");
        }
    }

    #[test]
    fn nothing_is_written_by_default() {
        let mut map = HeaderMap::new();
        DeadlineHeaders::new().write(&mut map, Duration::from_secs(1));
        assert!(map.is_empty());
    }
}
