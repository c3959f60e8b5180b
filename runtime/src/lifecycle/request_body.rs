//! Notices when the client has sent its request whole.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};

use crate::ambient;

pin_project_lite::pin_project! {
    /// A request body that tells the request when it has ended. It is read where the request
    /// runs, so it needs no cell of its own; read elsewhere, the request believes that bytes are
    /// still to come, and the connection is closed where it could have been kept.
    pub(crate) struct Upload<B> {
        #[pin]
        inner: B,
    }
}

impl<B: Body> Upload<B> {
    pub(crate) const fn new(inner: B) -> Self {
        Self { inner }
    }
}

impl<B: Body> Body for Upload<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut inner = self.project().inner;
        let polled = inner.as_mut().poll_frame(cx);
        let ended = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => inner.is_end_stream(),
            _ => false,
        };
        if ended {
            ambient::with(|request| request.flags.upload = false);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
