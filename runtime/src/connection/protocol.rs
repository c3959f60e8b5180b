//! The protocol that a connection speaks.
//!
//! Invariant: a connection leaves [`UNKNOWN`] once, at the preface of HTTP/2 or at the first head of a request,
//! and its protocol never changes again.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use http::Version;

const NAMES: [&str; 4] = ["unknown", "http/1.0", "http/1.1", "http/2"];
const UNKNOWN: u8 = 0;
const HTTP_10: u8 = 1;
const HTTP_11: u8 = 2;
const HTTP_2: u8 = 3;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The value of `preface` for a connection that does not begin with it: more bytes than it has.
const NO_PREFACE: u8 = u8::MAX;

/// The protocol of a connection, as its first bytes tell.
#[derive(Debug, Default)]
pub(super) struct Protocol {
    spoken: AtomicU8,
    /// How many bytes of the preface of HTTP/2 have come.
    preface: AtomicU8,
}

impl Protocol {
    pub(super) fn is_unknown(&self) -> bool {
        self.spoken.load(Relaxed) == UNKNOWN
    }

    pub(super) fn is_http10(&self) -> bool {
        self.spoken.load(Relaxed) == HTTP_10
    }

    pub(super) fn is_http2(&self) -> bool {
        self.spoken.load(Relaxed) == HTTP_2
    }

    pub(super) fn name(&self) -> &'static str {
        NAMES[usize::from(self.spoken.load(Relaxed))]
    }

    /// Notes the head of a request.
    #[inline]
    pub(super) fn note_head(&self, version: Version) {
        if self.is_unknown() {
            let spoken = match version {
                Version::HTTP_2 => HTTP_2,
                Version::HTTP_11 => HTTP_11,
                _ => HTTP_10,
            };
            self.spoken.store(spoken, Relaxed);
        }
    }

    /// Notes bytes that come while the protocol is unknown. Returns whether they complete the preface of HTTP/2,
    /// which may come in pieces.
    #[cold]
    pub(super) fn completes_preface(&self, bytes: &[u8]) -> bool {
        let matched = usize::from(self.preface.load(Relaxed));
        let rest = PREFACE.get(matched..).unwrap_or_default();
        let whole = bytes.starts_with(rest) && !rest.is_empty();
        if whole {
            self.spoken.store(HTTP_2, Relaxed);
        } else if rest.starts_with(bytes) {
            self.preface.fetch_add(u8::try_from(bytes.len()).unwrap_or(NO_PREFACE), Relaxed);
        } else {
            self.preface.store(NO_PREFACE, Relaxed);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_may_come_in_pieces_and_a_head_is_no_preface() {
        for piece in 1..=PREFACE.len() {
            let protocol = Protocol::default();
            let whole = PREFACE.chunks(piece).filter(|bytes| protocol.completes_preface(bytes));
            assert_eq!(whole.count(), 1, "{piece} bytes at a time");
            assert_eq!(protocol.name(), "http/2");
        }
        let protocol = Protocol::default();
        assert!(!protocol.completes_preface(b"POST / HTTP/1.1\r\n"));
        assert!(!protocol.completes_preface(PREFACE), "only the first bytes are a preface");
        protocol.note_head(Version::HTTP_11);
        protocol.note_head(Version::HTTP_2);
        assert_eq!(protocol.name(), "http/1.1");
    }
}
