//! Deadlines that callers send with a request.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::header::{ENVOY, Format, GRPC};
use crate::{escaped::Escaped, repeated::Repeated};

/// The headers in which callers send how long they wait, which become deadlines of their requests.
///
/// No header is read by default, because any client can send one: enable those that your
/// own proxies and callers set. A header can only shorten the deadline, counted from the
/// arrival of the request. A header that is malformed, repeated or zero is ignored and counted, and a warning logs
/// the count.
///
/// # Examples
///
/// ```
/// use followthrough::{CallerDeadlines, Lifecycle};
/// use http::HeaderName;
/// use std::time::Duration;
///
/// let callers = CallerDeadlines::new()
///     .grpc_timeout()
///     .envoy()
///     .header(HeaderName::from_static("x-timeout-ms"))
///     .floor(Duration::from_millis(20));
/// let lifecycle = Lifecycle::builder().caller_deadlines(callers).build()?;
/// # Ok::<(), followthrough::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it has no effect until a lifecycle is built with it"]
pub struct CallerDeadlines {
    headers: Vec<(HeaderName, Format)>,
    cap: Option<Duration>,
    floor: Duration,
}

impl CallerDeadlines {
    /// Makes settings that read no header.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `grpc-timeout: 250m`: up to eight digits, and `H`, `M`, `S`, `m`, `u` or `n`.
    pub fn grpc_timeout(self) -> Self {
        self.reading(GRPC, Format::Grpc)
    }

    /// Reads `x-envoy-expected-rq-timeout-ms: 250`, which Envoy sets to its own time-out.
    pub fn envoy(self) -> Self {
        self.reading(ENVOY, Format::Millis)
    }

    /// Reads a header of your own, in whole milliseconds.
    pub fn header(self, name: HeaderName) -> Self {
        self.reading(name, Format::Millis)
    }

    /// Sets the longest time that a header can give a request. Default: no
    /// bound but those of the handler and the service.
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = Some(cap);
        self
    }

    /// Sets the shortest time that a header can give a request, so that a caller cannot start work that is bound
    /// to be thrown away. Default: 0.
    pub fn floor(mut self, floor: Duration) -> Self {
        self.floor = floor;
        self
    }

    fn reading(mut self, name: HeaderName, format: Format) -> Self {
        self.headers.push((name, format));
        self
    }

    /// Returns the fault of these settings, if they have one.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let above = self.cap.is_some_and(|cap| cap < self.floor);
        above.then_some(
            "the `cap` of `caller_deadlines` is below its `floor`: raise the `cap` or lower the `floor`",
        )
    }

    /// Returns the shortest time of all headers, within floor and cap. Counts headers that cannot be read.
    pub(crate) fn read(&self, headers: &HeaderMap, ignored: &Ignored) -> Option<Duration> {
        let said = self.headers.iter().filter_map(|(name, format)| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?;
            let time = if values.next().is_none() { format.parse(value) } else { None };
            if time.is_none() {
                ignored.note(name, value);
            }
            time
        });
        let time = said.min()?;
        Some(self.cap.map_or(time, |cap| time.min(cap)).max(self.floor))
    }
}

/// The deadlines that could not be read.
#[derive(Debug, Default)]
pub(crate) struct Ignored(Arc<Repeated>);

impl Ignored {
    fn note(&self, name: &HeaderName, value: &HeaderValue) {
        let (header, value) = (name.clone(), value.clone());
        self.0.note(move |count| {
            tracing::warn!(
                target: "followthrough",
                %header,
                // `HeaderValue` does not escape a tab.
                value = %Escaped(format_args!("{value:?}")),
                count,
                "a caller's deadline cannot be read and is ignored"
            );
        });
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.count()
    }

    pub(crate) fn flush(&self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(callers: &CallerDeadlines, headers: &[(&str, &[u8])]) -> (Option<Duration>, u64) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            map.append(name, HeaderValue::from_bytes(value).expect("a value"));
        }
        let ignored = Ignored::default();
        let time = callers.read(&map, &ignored);
        (time, ignored.read())
    }

    #[test]
    fn grpc_has_six_units() {
        let callers = CallerDeadlines::new().grpc_timeout();
        for (value, nanos) in [
            ("1H", 3_600_000_000_000_u64),
            ("2M", 120_000_000_000),
            ("3S", 3_000_000_000),
            ("250m", 250_000_000),
            ("5u", 5_000),
            ("99999999n", 99_999_999),
        ] {
            let expected = (Some(Duration::from_nanos(nanos)), 0);
            assert_eq!(read(&callers, &[("grpc-timeout", value.as_bytes())]), expected, "{value}");
        }
        let longest = read(&callers, &[("grpc-timeout", b"99999999H")]);
        assert_eq!(longest, (Some(Duration::from_secs(99_999_999 * 3600)), 0));
    }

    #[test]
    fn a_malformed_header_is_ignored_and_counted() {
        let callers = CallerDeadlines::new().grpc_timeout().envoy();
        for value in [
            "",
            "S",
            "1",
            "1s",
            "1h",
            "1 S",
            " 1S",
            "-1S",
            "+1S",
            "1.5S",
            "1e3S",
            "NaN",
            "0S",
            "123456789S",
            "1SS",
            "0x1S",
            "\u{661}S",
            "1\u{b5}",
        ] {
            let found = read(&callers, &[("grpc-timeout", value.as_bytes())]);
            assert_eq!(found, (None, 1), "{value:?}");
        }
        for value in
            [&b""[..], b"1ms", b"-1", b"0", b"1.5", b"NaN", b"inf", b"9999999999999999", b"\xff"]
        {
            let found = read(&callers, &[("x-envoy-expected-rq-timeout-ms", value)]);
            assert_eq!(found, (None, 1), "{value:?}");
        }
        let repeated = [("grpc-timeout", &b"1S"[..]), ("grpc-timeout", b"2S")];
        assert_eq!(read(&callers, &repeated), (None, 1));
    }

    #[test]
    fn the_shortest_of_several_counts_within_floor_and_cap() {
        let callers = CallerDeadlines::new()
            .grpc_timeout()
            .header(HeaderName::from_static("x-timeout-ms"))
            .floor(Duration::from_millis(20))
            .cap(Duration::from_secs(10));
        let of = |headers: &[(&str, &[u8])]| read(&callers, headers).0;
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(of(&[("grpc-timeout", b"3S"), ("x-timeout-ms", b"250")]), ms(250));
        assert_eq!(of(&[("grpc-timeout", b"bad"), ("x-timeout-ms", b"250")]), ms(250));
        assert_eq!(of(&[("x-timeout-ms", b"1")]), ms(20));
        assert_eq!(of(&[("x-timeout-ms", b"999999")]), ms(10_000));
        assert_eq!(of(&[]), None);
        assert_eq!(read(&CallerDeadlines::new(), &[("grpc-timeout", b"1n")]), (None, 0));
    }
}
