//! The body of a response, in our hands on its way out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::BoxError;
use http_body::{Body, Frame, SizeHint};

use super::response_watch::ResponseWatch;
use crate::{cause::Cause, connection::body_was_asked};

pin_project_lite::pin_project! {
    /// The response body that the layer makes.
    pub struct ResponseBody<B> {
        // None once it was ended by us, before its own end, and for an answer of ours.
        #[pin]
        inner: Option<B>,
        tail: Option<ResponseWatch>,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(tail) = this.tail.take() {
                // Whoever hears of the end finds the body gone.
                this.inner.set(None);
                tail.over();
            }
        }
    }
}

impl<B> ResponseBody<B> {
    pub(crate) const fn new(inner: B, tail: Option<ResponseWatch>) -> Self {
        Self { inner: Some(inner), tail }
    }

    /// The body of an answer of ours, which is in the tail.
    pub(super) const fn answer(tail: Option<ResponseWatch>) -> Self {
        Self { inner: None, tail }
    }

    pub(super) const fn tail_mut(&mut self) -> Option<&mut ResponseWatch> {
        self.tail.as_mut()
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for ResponseBody<B>
where
    B::Data: 'static,
{
    type Data = B::Data;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        body_was_asked();
        let mut this = self.project();
        if let Some(piece) = this.tail.as_mut().and_then(ResponseWatch::next_piece) {
            return Poll::Ready(Some(Ok(piece)));
        }
        match (this.inner.as_mut().as_pin_mut(), &mut *this.tail) {
            (Some(inner), Some(tail)) if tail.is_watched() => {
                if let Some(cause) = tail.ended(cx) {
                    tail.cut_short(cause);
                    this.inner.set(None);
                    return tail.poll_last(cx);
                }
                tail.poll_watched(inner, cx)
            }
            (Some(inner), Some(tail)) if tail.is_measured() => {
                inner.poll_frame(cx).map_ok(|frame| tail.gives(frame)).map_err(Into::into)
            }
            (Some(inner), _) => inner.poll_frame(cx).map_err(Into::into),
            (None, Some(tail)) => tail.poll_last(cx),
            (None, None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match (&self.inner, &self.tail) {
            (_, Some(tail)) if tail.rest() > 0 => false,
            (Some(inner), _) => inner.is_end_stream(),
            (None, Some(tail)) => !tail.has_more_to_say(),
            (None, None) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.tail) {
            (_, Some(tail)) if tail.rest() > 0 => SizeHint::default(),
            (Some(inner), _) => inner.size_hint(),
            (None, Some(tail)) => tail.rest_hint::<B::Data>(),
            (None, None) => SizeHint::with_exact(0),
        }
    }
}

/// Ends a response body that the service has cut, so that no client takes it for whole.
#[derive(Debug)]
pub(super) struct CutShort(pub(super) Cause);

impl std::fmt::Display for CutShort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the response was cut before its end: {}", self.0)
    }
}

impl std::error::Error for CutShort {}

impl<B> std::fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody")
            .field("watched", &self.tail.as_ref().is_some_and(ResponseWatch::is_watched))
            .finish_non_exhaustive()
    }
}
