//! Counts what goes out of the bodies of answers over HTTP/2.
//!
//! Flow control may hold back what hyper has taken, and only the frames that it writes tell. Their
//! heads are looked at as they go out; what they carry is skipped.

use std::{io, task::Poll};

use super::connection::Connection;

/// RFC 9113, section 4.1.
const HEAD: usize = 9;
const DATA: u8 = 0;

/// Where in its frames a connection is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The head that is going out, and how much of it has.
    head: [u8; HEAD],
    has: usize,
    /// What is still to go out behind the last head, and whether it is that of a body.
    payload: usize,
    is_data: bool,
}

impl Frames {
    /// As much of `bufs` as `written` says has gone out on `connection`.
    pub(super) fn note(
        &mut self,
        connection: &Connection,
        written: &Poll<io::Result<usize>>,
        bufs: &[io::IoSlice<'_>],
    ) {
        let Poll::Ready(Ok(mut left)) = *written else { return };
        let mut data = 0;
        for buf in bufs {
            let gone = &buf[..left.min(buf.len())];
            left -= gone.len();
            data += self.advance(gone);
        }
        if data > 0 {
            connection.open_streams().sent(data);
        }
    }

    /// Goes on by `bytes` and gives how many of them are of bodies.
    fn advance(&mut self, mut bytes: &[u8]) -> usize {
        let mut data = 0;
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                data += if self.is_data { skipped } else { 0 };
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEAD - self.has).min(bytes.len());
            self.head[self.has..self.has + taken].copy_from_slice(&bytes[..taken]);
            self.has += taken;
            bytes = &bytes[taken..];
            if self.has == HEAD {
                let [high, middle, low, kind, ..] = self.head;
                self.payload =
                    usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
                self.is_data = kind == DATA;
                self.has = 0;
            }
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.resize(HEAD + usize::from(length), b'x');
        frame
    }

    #[test]
    fn bytes_of_bodies_are_counted_however_they_are_cut() {
        // SETTINGS, HEADERS, DATA, an empty DATA, PING, DATA.
        let kinds = [(4, 0), (1, 30), (DATA, 200), (DATA, 0), (6, 8), (DATA, 1)];
        let all: Vec<_> = kinds.iter().flat_map(|(kind, length)| frame(*kind, *length)).collect();
        for piece in 1..all.len() {
            let mut frames = Frames::default();
            let data: usize = all.chunks(piece).map(|bytes| frames.advance(bytes)).sum();
            assert_eq!((data, frames.payload, frames.has), (201, 0, 0), "{piece} at a time");
        }
    }
}
