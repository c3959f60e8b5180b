//! Notices when the client has sent its request whole, and when it has not.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::Version;
use http_body::{Body, Frame, SizeHint};

use crate::ambient;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pin_project_lite::pin_project! {
    /// A request body that tells the request when it has ended. It is read where the request
    /// runs, so it needs no cell of its own; read elsewhere, the request believes that bytes are
    /// still to come, and the connection is closed where it could have been kept.
    ///
    /// Over HTTP/2 hyper takes a reset without an error for the end of the body. It is not: half
    /// an upload must never look whole to what is about to store it.
    pub(crate) struct Upload<B> {
        #[pin]
        inner: B,
        http2: bool,
    }
}

impl<B> Upload<B> {
    pub(crate) fn new(inner: B, version: Version) -> Self {
        Self { inner, http2: version == Version::HTTP_2 }
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for Upload<B> {
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        let mut inner = this.inner;
        let polled = inner.as_mut().poll_frame(cx);
        let ended = match &polled {
            Poll::Ready(None) if *this.http2 && !inner.is_end_stream() => {
                return Poll::Ready(Some(Err("the client reset its request".into())));
            }
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => inner.is_end_stream(),
            _ => false,
        };
        if ended {
            ambient::with(|request| request.flags.upload = false);
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
