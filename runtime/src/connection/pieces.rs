//! Splits the long frames of a response body into pieces.
//!
//! Over HTTP/2, hyper gives h2 a whole frame as soon as there is room for a byte of it. A body in one frame would be
//! out of reach then: a peer whose window stays shut would keep it in memory, and its stream could not be ended
//! alone. Over HTTP/1, a long frame of a stream fills hyper's buffer, and hyper does not poll the body meanwhile.

use std::any::Any;

use bytes::Bytes;

/// The length of a piece over HTTP/2. A reader that takes 2.2 KB a second finishes a piece within the default
/// `write_timeout`. Pieces of half the length cost a tenth of the time of a bulk response.
pub(super) const PIECE: usize = 64 << 10;

/// Shortens `data` to a piece of at most `longest` bytes, and returns the rest, if there is any.
pub(crate) fn cut<D: 'static>(data: &mut D, longest: usize) -> Option<Bytes> {
    let bytes = (data as &mut dyn Any).downcast_mut::<Bytes>()?;
    (bytes.len() > longest).then(|| bytes.split_off(longest))
}
