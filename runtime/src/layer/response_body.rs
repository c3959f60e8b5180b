//! The response body that [`Lifecycle::layer`](crate::Lifecycle::layer) and [`serve`](crate::serve()) return.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::BoxError;
use http_body::{Body, Frame, SizeHint};

use super::response_watch::ResponseWatch;
use crate::{cause::Cause, connection::body_was_asked};

pin_project_lite::pin_project! {
    /// The response body that the layer returns.
    pub struct ResponseBody<B> {
        // None after the service has cut the body, and for a response that the service itself produced.
        #[pin]
        inner: Option<B>,
        watch: Option<ResponseWatch>,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(watch) = this.watch.take() {
                // The body is dropped before `over` fires a token, so that a waiter finds the body gone.
                this.inner.set(None);
                watch.over();
            }
        }
    }
}

impl<B> ResponseBody<B> {
    pub(crate) const fn new(inner: B, watch: Option<ResponseWatch>) -> Self {
        Self { inner: Some(inner), watch }
    }

    /// The body of a response that the service itself produced; `watch` holds its bytes.
    pub(super) const fn answer(watch: Option<ResponseWatch>) -> Self {
        Self { inner: None, watch }
    }

    pub(super) const fn watch_mut(&mut self) -> Option<&mut ResponseWatch> {
        self.watch.as_mut()
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
        if let Some(piece) = this.watch.as_mut().and_then(ResponseWatch::next_piece) {
            return Poll::Ready(Some(Ok(piece)));
        }
        match (this.inner.as_mut().as_pin_mut(), &mut *this.watch) {
            (Some(inner), Some(watch)) if watch.is_watched() => {
                if let Some(cause) = watch.ended(cx) {
                    watch.cut_short(cause);
                    this.inner.set(None);
                    return watch.poll_last(cx);
                }
                watch.poll_watched(inner, cx)
            }
            (Some(inner), Some(watch)) if watch.is_measured() => {
                inner.poll_frame(cx).map_ok(|frame| watch.gives(frame)).map_err(Into::into)
            }
            (Some(inner), _) => inner.poll_frame(cx).map_err(Into::into),
            (None, Some(watch)) => watch.poll_last(cx),
            (None, None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match (&self.inner, &self.watch) {
            (_, Some(watch)) if watch.rest() > 0 => false,
            (Some(inner), _) => inner.is_end_stream(),
            (None, Some(watch)) => !watch.has_more_to_say(),
            (None, None) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.watch) {
            (_, Some(watch)) if watch.rest() > 0 => SizeHint::default(),
            (Some(inner), _) => inner.size_hint(),
            (None, Some(watch)) => watch.rest_hint::<B::Data>(),
            (None, None) => SizeHint::with_exact(0),
        }
    }
}

/// The error that ends a response body which the service has cut, so that no client takes it for complete.
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
            .field("watched", &self.watch.as_ref().is_some_and(ResponseWatch::is_watched))
            .finish_non_exhaustive()
    }
}
