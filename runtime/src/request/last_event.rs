//! The last event of a stream that the service ends.

use std::{
    any::Any,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    response::{IntoResponse, IntoResponseParts, ResponseParts, Sse, sse::Event},
};
use bytes::Bytes;
use futures_core::Stream;

/// The last event of a stream of server-sent events that the service ends, because it shuts down or because
/// the stream's deadline has passed. It is a part of the response of a `#[cancellable(stream)]` handler.
///
/// A stream that ends by itself, or whose client has left, does not send it. A stream with a `Content-Length`, or
/// one that middleware has compressed, does not send it either.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use axum::response::sse::{Event, Sse};
/// use followthrough::{LastEvent, cancellable};
/// # use futures_core::Stream;
/// # fn news() -> impl Stream<Item = Result<Event, Infallible>> { futures_util::stream::pending() }
///
/// #[cancellable(stream)]
/// async fn events() -> (LastEvent, Sse<impl Stream<Item = Result<Event, Infallible>>>) {
///     (LastEvent::new(Event::default().event("bye").data("reconnect")), Sse::new(news()))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct LastEvent(Event);

impl LastEvent {
    /// Makes `event` the last event of the stream.
    #[must_use]
    pub const fn new(event: Event) -> Self {
        Self(event)
    }

    /// Returns the event as axum's own `Sse` writes it.
    pub(crate) fn into_body(self) -> Body {
        Sse::new(Once(Some(self.0))).into_response().into_body()
    }
}

impl IntoResponseParts for LastEvent {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

struct Once(Option<Event>);

impl Stream for Once {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

/// Returns `bytes` as `D`, or `None` if `D` is another type.
pub(crate) fn as_data<D: 'static>(bytes: Bytes) -> Option<D> {
    let mut bytes = Some(bytes);
    (&mut bytes as &mut dyn Any).downcast_mut::<Option<D>>().and_then(Option::take)
}
