//! The frames of a streamed body that hyper may hold over HTTP/1.
//!
//! Invariants:
//!
//! 1. hyper has at most [`Ahead::bytes`] of a stream and one frame, because a batch begins only after a flush, and
//!    a flush leaves nothing in hyper's buffer.
//! 2. A batch does not fill hyper's buffer, because a frame is cut to the [room](Batch::room) in its batch. hyper
//!    polls no body while its buffer is full.

/// The number of frames in a batch. hyper's queue is full with one more.
const FRAMES: usize = 15;
/// The length of a piece for which there may be no room.
const SHORTEST_PIECE: usize = 4 << 10;
/// The bytes that hyper adds to a chunk at most: 16 digits of its length, and two line ends.
const CHUNK_FRAMING: usize = 20;

/// The limit on the bytes that hyper may hold of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    bytes: usize,
}

impl Ahead {
    /// The default size of hyper's buffer.
    const BUFFER: usize = 408 << 10;
    /// The part of the buffer that is left for the head of the response.
    const HEAD: usize = 24 << 10;

    /// Returns the limit for a buffer of `size` bytes, or of hyper's default size.
    pub(crate) fn of_buffer(size: Option<usize>) -> Self {
        let size = size.map_or(Self::BUFFER, |size| size.min(Self::BUFFER));
        Self { bytes: size.saturating_sub(Self::HEAD) }
    }
}

/// The frames that a body has given since the last flush of its connection.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The number of flushes before the first frame.
    flushes: usize,
    frames: usize,
    bytes: usize,
    /// The length of the last frame. The next frame is assumed to be as long.
    last: usize,
}

impl Batch {
    /// Adds a frame of `bytes` that the body yields after `flushes` flushes. hyper discards an empty frame, so that
    /// is not added.
    pub(super) fn add(&mut self, flushes: usize, bytes: usize) {
        if self.flushes != flushes {
            *self = Self { flushes, ..Self::default() };
        }
        self.frames += 1;
        self.last = bytes + CHUNK_FRAMING;
        self.bytes += self.last;
    }

    /// Returns the length of the longest frame that the batch has room for.
    pub(super) fn room(&self, flushes: usize, ahead: Ahead) -> usize {
        let held = if self.flushes == flushes { self.bytes } else { 0 };
        ahead.bytes.saturating_sub(held).max(SHORTEST_PIECE)
    }

    /// Returns whether the next frame has to wait for a flush.
    pub(super) fn is_full(&self, flushes: usize, ahead: Ahead) -> bool {
        self.flushes == flushes && (self.frames >= FRAMES || self.bytes + self.last > ahead.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of frames of `bytes` in a full batch.
    fn frames(buffer: Option<usize>, bytes: usize) -> usize {
        let (mut batch, ahead) = (Batch::default(), Ahead::of_buffer(buffer));
        while !batch.is_full(7, ahead) {
            batch.add(7, bytes);
        }
        batch.frames
    }

    #[test]
    fn a_full_batch_leaves_room_in_the_buffer_of_hyper() {
        assert_eq!(frames(None, 1), FRAMES);
        for bytes in [64, 128, 180] {
            let held = frames(None, bytes << 10) * (bytes << 10);
            assert!(held + Ahead::HEAD <= Ahead::BUFFER, "frames of {bytes} KiB");
            assert!(held * 2 > Ahead::BUFFER, "frames of {bytes} KiB");
        }
        assert_eq!(frames(None, 1 << 20), 1);
        let mut batch = Batch::default();
        batch.add(7, 100 << 10);
        let room = batch.room(7, Ahead::of_buffer(None));
        assert!(room < 300 << 10 && batch.room(8, Ahead::of_buffer(None)) > room);
        assert_eq!(frames(Some(8 << 10), 100), 1, "a small buffer holds one frame");
        assert_eq!(frames(Some(1 << 30), 64 << 10), frames(None, 64 << 10));
    }

    #[test]
    fn a_flush_begins_a_new_batch() {
        let (mut batch, ahead) = (Batch::default(), Ahead::of_buffer(None));
        assert!(!batch.is_full(0, ahead));
        batch.add(0, 1 << 20);
        assert!(batch.is_full(0, ahead));
        assert!(!batch.is_full(1, ahead));
        batch.add(1, 10);
        assert!(!batch.is_full(1, ahead), "the frame before the flush is gone");
    }
}
