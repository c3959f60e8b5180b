//! The body of a callee's response.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};

use super::{call::Guard, error::CallError};

pin_project_lite::pin_project! {
    /// The body of a callee's response, under the token of its call. If the token fires before the end, the next
    /// frame is an error and the callee's body is dropped.
    pub struct CallBody<B> {
        #[pin]
        body: Option<B>,
        guard: Option<Guard>,
    }
}

impl<B> CallBody<B> {
    pub(super) const fn new(body: B, guard: Option<Guard>) -> Self {
        Self { body: Some(body), guard }
    }
}

impl<B: Body> Body for CallBody<B> {
    type Data = B::Data;
    type Error = CallError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = body.poll_frame(cx) {
            if frame.is_none() {
                this.body.set(None);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(CallError::Failed)));
        }
        let Some(guard) = this.guard else { return Poll::Pending };
        let cancelled = ready!(guard.poll(cx));
        this.body.set(None);
        Poll::Ready(Some(Err(CallError::Cancelled(cancelled))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: fmt::Debug> fmt::Debug for CallBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallBody").field(&self.body).finish()
    }
}
