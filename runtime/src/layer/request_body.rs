//! The request body that the service reads: it notices its own end, a client that has left, and bytes that arrive
//! too slowly.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::BoxError;
use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};

use super::body_times::{BodyTimes, BodyWait, Overrun};
use crate::{
    cause::Cause,
    connection::UploadsFull,
    request::{self},
};

pin_project_lite::pin_project! {
    /// A request body that records its progress in the current request.
    ///
    /// A body that is polled in another task has no current request. The request then believes that bytes are
    /// still to come, and the connection is closed where it could have been kept alive.
    ///
    /// Over HTTP/2 hyper reports a reset without an error as the end of the body. `Upload` turns that end into an
    /// error, so that a handler never stores half an upload as a whole one.
    pub(crate) struct Upload<B> {
        #[pin]
        inner: B,
        end: End,
        times: Option<BodyTimes>,
        wait: Option<Box<BodyWait>>,
        // A failed body is not polled again, because its next frame could leave a gap or look like the end.
        failed: bool,
        cause: Option<Cause>,
    }
}

/// The meaning of a body's end without an error.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The body is whole.
    Whole,
    /// The body is cut unless `is_end_stream` returns true.
    Said,
    /// The body is cut if its size hint still expects bytes. The bodies of other servers seldom implement
    /// `is_end_stream`.
    Promised,
}

impl End {
    fn is_cut<B: Body>(self, body: &B) -> bool {
        match self {
            Self::Whole => false,
            Self::Said => !body.is_end_stream(),
            Self::Promised => body.size_hint().lower() > 0,
        }
    }
}

impl<B> Upload<B> {
    /// Wraps the body of a request under [`serve`](crate::serve()). `times` limits the wait for its bytes.
    pub(crate) const fn new(inner: B, version: Version, times: Option<BodyTimes>) -> Self {
        let end = if matches!(version, Version::HTTP_2) { End::Said } else { End::Whole };
        Self { inner, end, times, wait: None, failed: false, cause: None }
    }

    /// Wraps the body of a request under another server.
    pub(crate) const fn of_another(inner: B, version: Version) -> Self {
        let end = if matches!(version, Version::HTTP_2) { End::Promised } else { End::Whole };
        Self { inner, end, times: None, wait: None, failed: false, cause: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for Upload<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let (failed, before) = (*this.failed, *this.cause);
        let mut fail = |cause: Option<Cause>, error: BoxError| {
            (*this.failed, *this.cause) = (true, cause);
            match cause {
                Some(cause) => fails(cause, error),
                None => Poll::Ready(Some(Err(error))),
            }
        };
        if failed {
            return fail(before, "the request body has already failed".into());
        }
        let mut inner = this.inner;
        let polled = inner.as_mut().poll_frame(cx);
        if polled.is_pending() {
            let overrun = ready!(pends(*this.times, this.wait, cx));
            return fail(Some(Cause::BodyReadTimeout), timed_out(overrun));
        }
        let ended = match ready!(polled) {
            None if this.end.is_cut(&*inner) => {
                let error = "the client reset its request".into();
                return fail(Some(Cause::ClientDisconnected), error);
            }
            Some(Err(error)) => {
                let error = error.into();
                if error.is::<UploadsFull>() {
                    return fail(Some(Cause::LimitReached), error);
                }
                let left = has_left(&*error).then_some(Cause::ClientDisconnected);
                return fail(left, error);
            }
            None => None,
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.wait.iter_mut().for_each(|wait| wait.received(data.len()));
                    request::with(|request| {
                        request.attempt.iter().for_each(|attempt| attempt.hash(data));
                    });
                }
                Some(frame)
            }
        };
        if ended.is_none() || inner.is_end_stream() {
            request::with(|request| request.flags.upload = false);
        }
        Poll::Ready(ended.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Notes that the body is pending. Returns `Ready` once the client has exceeded a limit of `times`.
#[cold]
fn pends(
    times: Option<BodyTimes>,
    wait: &mut Option<Box<BodyWait>>,
    cx: &mut Context<'_>,
) -> Poll<Overrun> {
    // Without a current request, or after the response head, no response waits for these bytes.
    if request::with(|request| request.flags.awaits_upload = true).is_none() {
        return Poll::Pending;
    }
    let Some(times) = times else { return Poll::Pending };
    let wait = wait.get_or_insert_with(|| Box::new(BodyWait::new(times)));
    wait.pends(cx).map_or(Poll::Pending, Poll::Ready)
}

fn timed_out(overrun: Overrun) -> BoxError {
    io::Error::new(io::ErrorKind::TimedOut, overrun).into()
}

/// Ends the body for `cause`.
///
/// If `cause` can end the request, the body stays pending and the request ends with this poll, because its
/// reader would treat `error` as the client's mistake. Otherwise the reader gets `error`.
#[cold]
fn fails<D>(cause: Cause, error: BoxError) -> Poll<Option<Result<Frame<D>, BoxError>>> {
    let left = cause == Cause::ClientDisconnected;
    let ends = request::with(|request| {
        request.flags.awaits_upload = true;
        request.is_before_its_body() || (left && request.drops_its_body(cause))
    });
    if ends.is_some() && (ends == Some(true) || left) {
        request::settle(cause);
    }
    if ends == Some(true) { Poll::Pending } else { Poll::Ready(Some(Err(error))) }
}

/// Returns whether `error` means that the client has left. Malformed bytes do not, nor does a half-close where the
/// service allows half-closed connections.
fn has_left(error: &(dyn std::error::Error + 'static)) -> bool {
    let (mut of_server, mut malformed, mut ended) = (false, false, false);
    for error in std::iter::successors(Some(error), |error| error.source()) {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            of_server = true;
            ended |= error.is_incomplete_message();
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => malformed = true,
                io::ErrorKind::UnexpectedEof => ended = true,
                _ => {}
            }
        }
    }
    let half_close = || request::with(|request| request.life().allows_half_close()) == Some(true);
    of_server && !malformed && !(ended && half_close())
}
