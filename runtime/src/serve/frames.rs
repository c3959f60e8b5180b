//! Follows the frames of an HTTP/2 connection to count its unfinished responses.
//!
//! Flow control may hold back bytes that hyper has taken from a response body, so only the frames that go out show
//! which response has ended. A reset by either side ends one as well. Only frame headers are parsed; payloads are
//! skipped.

use crate::connection::OpenStreams;

/// RFC 9113, section 4.1.
const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
/// The length of the client's connection preface, which is not a frame.
const PREFACE: usize = 24;

/// The position in the frames of both directions, and the responses that have begun and not ended.
#[derive(Debug)]
pub(super) struct Frames {
    incoming: Direction,
    outgoing: Direction,
    unfinished: Vec<u32>,
    /// The streams that the peer has reset since the last flush. The HEADERS of such a response may still be in
    /// hyper's buffer.
    reset: Vec<u32>,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            incoming: Direction { payload: PREFACE, ..Direction::default() },
            outgoing: Direction::default(),
            unfinished: Vec::new(),
            reset: Vec::new(),
        }
    }
}

impl Frames {
    /// Follows bytes that were read from the peer.
    pub(super) fn came(&mut self, bytes: &[u8], streams: &OpenStreams) {
        let Self { incoming, unfinished, reset, .. } = self;
        incoming.advance(bytes, |frame| {
            if frame.kind == RST_STREAM && !ended(unfinished, frame.stream, streams) {
                reset.push(frame.stream);
            }
        });
    }

    /// Follows bytes that were written to the peer.
    pub(super) fn gone(&mut self, bytes: &[u8], streams: &OpenStreams) {
        let Self { outgoing, unfinished, reset, .. } = self;
        outgoing.advance(bytes, |frame| {
            let carries = matches!(frame.kind, DATA | HEADERS);
            if frame.kind == RST_STREAM || (carries && frame.flags & END_STREAM != 0) {
                ended(unfinished, frame.stream, streams);
            } else if frame.kind == HEADERS
                && !unfinished.contains(&frame.stream)
                && !reset.contains(&frame.stream)
            {
                unfinished.push(frame.stream);
                streams.unfinished(unfinished.len());
            }
        });
    }

    /// Forgets the resets, because all of hyper's buffer has gone out.
    pub(super) fn flushed(&mut self) {
        self.reset.clear();
    }
}

/// Removes the response on `stream`. Returns whether there was one.
fn ended(unfinished: &mut Vec<u32>, stream: u32, streams: &OpenStreams) -> bool {
    let Some(n) = unfinished.iter().rposition(|id| *id == stream) else { return false };
    unfinished.swap_remove(n);
    streams.unfinished(unfinished.len());
    true
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// The position in the frames of one direction.
#[derive(Debug, Default)]
struct Direction {
    /// The bytes of a partial frame header, and their number.
    head: [u8; HEAD],
    has: usize,
    /// The frame whose payload is being skipped, and the bytes of it that are still to come.
    frame: Option<Frame>,
    payload: usize,
}

impl Direction {
    /// Advances by `bytes`, and calls `passed` with each frame that is complete.
    fn advance(&mut self, mut bytes: &[u8], mut passed: impl FnMut(Frame)) {
        loop {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            if self.payload > 0 {
                return;
            }
            self.frame.take().into_iter().for_each(&mut passed);
            let taken = (HEAD - self.has).min(bytes.len());
            self.head[self.has..self.has + taken].copy_from_slice(&bytes[..taken]);
            self.has += taken;
            bytes = &bytes[taken..];
            if self.has < HEAD {
                return;
            }
            let [high, middle, low, kind, flags, stream @ ..] = self.head;
            self.payload = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            self.frame = Some(Frame { kind, flags, stream: u32::from_be_bytes(stream) });
            self.has = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
        frame.resize(HEAD + usize::from(length), b'x');
        frame
    }

    #[test]
    fn answers_are_followed_to_their_end_however_their_bytes_are_cut() {
        let out = [
            frame(4, 0, 0, 0),
            frame(HEADERS, 4, 1, 30),
            frame(HEADERS, 4 | END_STREAM, 3, 30),
            frame(DATA, 0, 1, 200),
            frame(HEADERS, 4, 5, 30),
            // In a PING the same bit means ACK.
            frame(6, END_STREAM, 0, 8),
            frame(DATA, END_STREAM, 1, 1),
            frame(HEADERS, 4, 7, 30),
            frame(HEADERS, 4, 9, 30),
            frame(RST_STREAM, 0, 9, 4),
        ]
        .concat();
        let back = [vec![b'P'; PREFACE], frame(4, 0, 0, 6), frame(RST_STREAM, 0, 5, 4)].concat();
        for piece in 1..out.len() {
            let (mut frames, streams) = (Frames::default(), OpenStreams::default());
            out.chunks(piece).for_each(|bytes| frames.gone(bytes, &streams));
            assert_eq!(frames.unfinished, [5, 7], "{piece} at a time");
            back.chunks(piece).for_each(|bytes| frames.came(bytes, &streams));
            assert_eq!(frames.unfinished, [7], "{piece} at a time");
            frames.gone(&frame(DATA, END_STREAM, 7, 0), &streams);
            assert!(streams.have_ended(), "{piece} at a time");
        }
    }

    #[test]
    fn a_head_that_goes_out_after_its_reset_has_come_begins_nothing() {
        let (mut frames, streams) = (Frames::default(), OpenStreams::default());
        frames.came(&[vec![b'P'; PREFACE], frame(RST_STREAM, 0, 3, 4)].concat(), &streams);
        frames.gone(&frame(HEADERS, 4, 3, 30), &streams);
        assert!(streams.have_ended());
        frames.flushed();
        assert!(frames.reset.is_empty(), "it does not grow");
        frames.gone(&frame(HEADERS, 4, 5, 30), &streams);
        assert!(!streams.have_ended());
    }
}
