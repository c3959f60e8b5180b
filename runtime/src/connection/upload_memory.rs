//! Bounds the memory of request bodies that are still arriving.
//!
//! `Bytes`, `String`, `Json` and `Form` collect a body before the handler begins. A peer that sends all but the
//! last byte of two hundred bodies makes the process hold all of them. So each frame is counted from when the
//! application gets it until the application drops it.
//!
//! Invariants:
//!
//! 1. The bytes of a frame are taken off each count that they were added to, because the last clone of the frame
//!    does that in `Drop`, on any thread.
//! 2. No two uploads wait for each other's memory, because an upload is never paused: a frame is passed on, or its
//!    upload ends.
//! 3. An upload of which at most [`IN_HAND`] is held is never ended, so a body of any size that is used as it
//!    comes goes on, however much others hold.
//! 4. An upload that is alone is never ended. axum's `DefaultBodyLimit` bounds the size of one body.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// How much of each body is not counted. Most bodies are no longer than this, so they cost nothing.
const FREE: usize = 64 << 10;
/// How much of a body is held by a handler that uses it as it comes.
const IN_HAND: usize = 128 << 10;
/// The memory of a frame besides its bytes. A body in frames of a byte each takes the most.
const OVERHEAD: usize = 128;

/// How many bytes may be held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadLimits {
    pub(crate) connection: usize,
    pub(crate) all: usize,
}

/// The memory that the uploads of one connection hold.
#[derive(Debug)]
pub(crate) struct UploadMemory {
    limits: UploadLimits,
    connection: AtomicUsize,
    /// The bytes that the uploads of all connections hold.
    all: Arc<AtomicUsize>,
}

impl UploadMemory {
    pub(crate) fn new(limits: UploadLimits, all: &Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self { limits, connection: AtomicUsize::new(0), all: all.clone() })
    }
}

/// The memory that one upload holds.
#[derive(Debug)]
struct Upload {
    memory: Arc<UploadMemory>,
    held: AtomicUsize,
}

impl Upload {
    /// Returns whether there is no room for `bytes` more.
    fn is_full(&self, bytes: usize) -> bool {
        let own = self.held.load(Relaxed);
        let memory = &*self.memory;
        let full = |used: &AtomicUsize, limit| {
            let used = used.load(Relaxed);
            used.saturating_add(bytes) > limit && used > own
        };
        own > IN_HAND
            && (full(&memory.connection, memory.limits.connection)
                || full(&memory.all, memory.limits.all))
    }

    fn counts(&self) -> [&AtomicUsize; 3] {
        [&self.held, &self.memory.connection, &self.memory.all]
    }
}

/// A frame that is counted until its last clone is dropped.
struct Counted {
    bytes: Bytes,
    upload: Arc<Upload>,
}

impl Counted {
    fn count(bytes: Bytes, upload: &Arc<Upload>) -> Bytes {
        for count in upload.counts() {
            count.fetch_add(bytes.len() + OVERHEAD, Relaxed);
        }
        Bytes::from_owner(Self { bytes, upload: upload.clone() })
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        for count in self.upload.counts() {
            count.fetch_sub(self.bytes.len() + OVERHEAD, Relaxed);
        }
    }
}

pin_project_lite::pin_project! {
    /// A request body whose frames are counted.
    pub(crate) struct Metered<B> {
        #[pin]
        inner: B,
        // `None` for a body without bytes.
        memory: Option<Arc<UploadMemory>>,
        passed: usize,
        // Set at the first frame that is counted.
        upload: Option<Arc<Upload>>,
    }
}

impl<B: Body> Metered<B> {
    pub(crate) fn new(inner: B, memory: &Arc<UploadMemory>) -> Self {
        let memory = (!inner.is_end_stream()).then(|| memory.clone());
        Self { inner, memory, passed: 0, upload: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for Metered<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let polled = ready!(this.inner.poll_frame(cx));
        let (Some(memory), Some(Ok(frame))) = (this.memory, &polled) else {
            return Poll::Ready(polled.map(|frame| frame.map_err(Into::into)));
        };
        let bytes = frame.data_ref().map_or(0, |data| data.len() + OVERHEAD);
        *this.passed = this.passed.saturating_add(bytes);
        if *this.passed <= FREE {
            return Poll::Ready(polled.map(|frame| frame.map_err(Into::into)));
        }
        let upload = this.upload.get_or_insert_with(|| {
            Arc::new(Upload { memory: memory.clone(), held: AtomicUsize::new(0) })
        });
        if upload.is_full(bytes) {
            return Poll::Ready(Some(Err(UploadsFull.into())));
        }
        Poll::Ready(polled.map(|frame| {
            frame.map_err(Into::into).map(|frame| match frame.into_data() {
                Ok(data) => Frame::data(Counted::count(data, upload)),
                Err(trailers) => trailers,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The error of an upload for which there is no room.
#[derive(Debug)]
pub(crate) struct UploadsFull;

impl fmt::Display for UploadsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unfinished uploads hold too much memory; see `Serve::max_upload_memory`")
    }
}

impl std::error::Error for UploadsFull {}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use axum::body::Body as AxumBody;

    use super::*;

    const MIB: usize = 1 << 20;

    /// Makes a body that has frames of `size` bytes without end.
    fn endless(memory: &Arc<UploadMemory>, size: usize) -> Metered<AxumBody> {
        let frames = futures_util::stream::repeat_with(move || {
            Ok::<_, std::convert::Infallible>(Bytes::from(vec![7; size]))
        });
        Metered::new(AxumBody::from_stream(frames), memory)
    }

    fn next(body: &mut Metered<AxumBody>) -> Result<Bytes, BoxError> {
        let cx = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(Some(frame)) = Pin::new(body).poll_frame(cx) else {
            panic!("there is always a frame")
        };
        Ok(frame?.into_data().unwrap_or_default())
    }

    fn memory() -> (Arc<UploadMemory>, Arc<AtomicUsize>) {
        let all = Arc::default();
        (UploadMemory::new(UploadLimits { connection: 2 * MIB, all: 3 * MIB }, &all), all)
    }

    #[test]
    fn the_second_of_two_held_uploads_is_ended_and_all_is_given_back() {
        let (memory, all) = memory();
        let [mut first, mut second] = [endless(&memory, MIB), endless(&memory, 100 << 10)];
        // An upload that is alone has no bound.
        let mut held: Vec<_> = (0..4).map(|_| next(&mut first).unwrap()).collect();
        let of_second: Vec<_> =
            std::iter::from_fn(|| Some(next(&mut second)).filter(Result::is_ok)).collect();
        assert_eq!(of_second.len(), 2, "two frames are in hand");
        assert!(
            next(&mut first).unwrap_err().is::<UploadsFull>(),
            "the first may not hold more either"
        );
        // The first two give room.
        drop(of_second);
        held.truncate(1);
        assert!(next(&mut second).is_ok());
        drop((held, first, second));
        assert_eq!((all.load(Relaxed), memory.connection.load(Relaxed)), (0, 0));
    }

    #[test]
    fn a_body_that_is_used_as_it_comes_goes_on_whatever_others_hold() {
        let (memory, all) = memory();
        let mut other = endless(&memory, 8 * MIB);
        let _held = next(&mut other).unwrap();
        let mut streamed = endless(&memory, 100 << 10);
        for _ in 0..1000 {
            assert!(next(&mut streamed).is_ok());
        }
        assert!(all.load(Relaxed) > 8 * MIB);
    }

    #[test]
    fn what_is_held_on_one_connection_counts_on_the_others() {
        let all = Arc::default();
        let limits = UploadLimits { connection: 2 * MIB, all: 3 * MIB };
        let [here, there] = [(); 2].map(|()| UploadMemory::new(limits, &all));
        let mut bodies = [endless(&here, MIB), endless(&there, MIB)];
        let mut held = Vec::new();
        for body in &mut bodies {
            held.push(next(body).unwrap());
        }
        held.push(next(&mut bodies[0]).unwrap_or_default());
        assert!(next(&mut bodies[1]).unwrap_err().is::<UploadsFull>());
    }

    #[test]
    fn small_bodies_are_not_counted_and_small_frames_cost_more_than_their_bytes() {
        let (memory, all) = memory();
        let mut body = endless(&memory, 1);
        let mut held: Vec<_> = (0..500).map(|_| next(&mut body).unwrap()).collect();
        assert_eq!(all.load(Relaxed), 0);
        held.extend((0..1000).map(|_| next(&mut body).unwrap()));
        assert!(all.load(Relaxed) > 100_000);
    }
}
