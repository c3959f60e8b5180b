//! The bodies of the handlers, the same on every side.

use std::{
    convert::Infallible,
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use axum::{
    body::{Body, Bytes},
    extract::{WebSocketUpgrade, ws::Message},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream::unfold;
use http::StatusCode;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::super::CHUNK;
use crate::wire::TEXT;

/// How long a slow handler takes.
const SLOW: Duration = Duration::from_millis(5);

/// The state that the handlers share.
#[derive(Debug)]
pub(super) struct Shared {
    /// A chunk of a bulk body.
    chunk: Bytes,
    /// The number of the newest event.
    pub(super) events: watch::Sender<u64>,
    /// The number of handlers that have begun to wait.
    pub(super) began: watch::Sender<u64>,
    /// The number of waiting handlers that were dropped, and the time of the last drop.
    pub(super) dropped: watch::Sender<(u64, u128)>,
    /// Begins the shutdown.
    pub(super) stop: Notify,
    /// Ends the pending requests of a side that has only tokio-util.
    pub(super) stopping: CancellationToken,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            chunk: super::super::pattern().into(),
            events: watch::Sender::new(0),
            began: watch::Sender::new(0),
            dropped: watch::Sender::new((0, 0)),
            stop: Notify::new(),
            stopping: CancellationToken::new(),
        }
    }
}

/// Is pending once, as a query is.
pub(super) async fn small() -> &'static str {
    tokio::task::yield_now().await;
    TEXT
}

/// Answers chunks of 64 KiB.
pub(super) fn bulk(shared: &Shared, mebibytes: u64) -> Response {
    let left = mebibytes.saturating_mul(1 << 20) / CHUNK as u64;
    Body::new(Chunks { left, chunk: shared.chunk.clone() }).into_response()
}

struct Chunks {
    left: u64,
    chunk: Bytes,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(self.chunk.clone()))))
    }
}

/// Answers the length of the request's body.
pub(super) async fn upload(mut body: Body) -> Result<String, StatusCode> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(length.to_string())
}

/// Sends each message back.
pub(super) fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// Sends the number of each event. A comment first shows that the stream is open.
pub(super) fn events(shared: &Shared) -> Response {
    let numbers = shared.events.subscribe();
    let stream = unfold((numbers, true), |(mut numbers, is_first)| async move {
        let event = if is_first {
            Event::default().comment("open")
        } else {
            numbers.changed().await.ok()?;
            Event::default().data(numbers.borrow_and_update().to_string())
        };
        Some((Ok::<_, Infallible>(event), (numbers, false)))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_hours(1))).into_response()
}

/// Takes 5 ms.
pub(super) async fn slow() -> &'static str {
    tokio::time::sleep(SLOW).await;
    TEXT
}

/// Is pending until its request is dropped.
pub(super) async fn wait(shared: Arc<Shared>) -> &'static str {
    struct Dropped(Arc<Shared>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            let now = now();
            self.0.dropped.send_modify(|(count, at)| (*count, *at) = (*count + 1, now));
        }
    }

    let dropped = Dropped(shared);
    dropped.0.began.send_modify(|count| *count += 1);
    pending().await
}

/// Returns the nanoseconds since 1970, which the processes of one machine share.
pub(crate) fn now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
