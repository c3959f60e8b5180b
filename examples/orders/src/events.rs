//! `GET /events`: a stream of the delivered letters.

use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use followthrough::{LastEvent, cancellable};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

use crate::peers::Letter;

/// The channel to all listeners.
#[derive(Clone)]
pub(crate) struct Events(broadcast::Sender<Letter>);

impl Events {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(64).0)
    }

    pub(crate) fn send(&self, letter: Letter) {
        // `send` fails only without a listener.
        let _ = self.0.send(letter);
    }
}

/// `GET /events`
///
/// A disconnect drops the stream. At shutdown the stream sends a last event and ends.
#[cancellable(stream)]
pub(crate) async fn listen(
    State(Events(events)): State<Events>,
) -> (LastEvent, Sse<impl Stream<Item = Result<sse::Event, axum::Error>>>) {
    let letters = BroadcastStream::new(events.subscribe());
    // A listener that is too slow misses some letters and continues with the next one.
    let events = letters.filter_map(Result::ok);
    let events = events.map(|letter| sse::Event::default().event("order").json_data(letter));
    let bye = sse::Event::default().event("bye").retry(Duration::from_secs(1)).data("reconnect");
    (LastEvent::new(bye), Sse::new(events).keep_alive(KeepAlive::default()))
}
