//! Hands the frames of a response's body to HTTP/2 in pieces.
//!
//! hyper gives h2 a frame whole as soon as there is room for a byte of it, and a body in one frame is out of
//! everybody's hands then: a peer whose window stays shut keeps it in memory, and nothing can end its stream alone.

use std::any::Any;

use bytes::Bytes;

/// With that, a reader that takes 1.1 KB a second asks for a piece within the default `write_timeout`; h2's
/// own frames have half of it.
const PIECE: usize = 32 << 10;

/// Leaves a piece of `data`, and gives the rest, if there is any.
pub(crate) fn cut<D: 'static>(data: &mut D) -> Option<Bytes> {
    let bytes = (data as &mut dyn Any).downcast_mut::<Bytes>()?;
    (bytes.len() > PIECE).then(|| bytes.split_off(PIECE))
}
