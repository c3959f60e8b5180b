//! `GET /events`: what the relay delivered, as it happens.

use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use followthrough::{LastEvent, cancellable};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

use crate::db::Letter;

/// Everybody who listens.
#[derive(Clone)]
pub(crate) struct Events(broadcast::Sender<Letter>);

impl Events {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(64).0)
    }

    pub(crate) fn send(&self, letter: Letter) {
        // An error means that nobody listens, which is fine.
        let _ = self.0.send(letter);
    }
}

/// `GET /events`
///
/// When the client leaves, the stream is dropped. At shutdown it says goodbye and ends.
#[cancellable(stream)]
pub(crate) async fn listen(
    State(Events(events)): State<Events>,
) -> (LastEvent, Sse<impl Stream<Item = Result<sse::Event, axum::Error>>>) {
    let letters = BroadcastStream::new(events.subscribe());
    // A listener that was too slow misses some letters, and goes on with the next one.
    let events = letters.filter_map(Result::ok);
    let events = events.map(|letter| sse::Event::default().event("order").json_data(letter));
    let bye = sse::Event::default().event("bye").retry(Duration::from_secs(1)).data("reconnect");
    (LastEvent::new(bye), Sse::new(events).keep_alive(KeepAlive::default()))
}
