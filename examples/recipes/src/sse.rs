//! How do I push events to a browser?
//!
//! A stream of server-sent events is `#[cancellable(stream)]`: a client that leaves drops it, and a shutdown ends it with a
//! last event, after which the browser connects to another instance. Publishing changes no state that could be half done,
//! and a repetition is a second event, so it is a durable write.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use followthrough::routing::get;
use followthrough::{LastEvent, Router, cancellable, durable_write};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

/// The channel to all listeners.
#[derive(Clone, Debug)]
pub struct News(broadcast::Sender<String>);

impl Default for News {
    fn default() -> Self {
        Self(broadcast::channel(64).0)
    }
}

#[cancellable(stream)]
async fn listen(
    State(News(news)): State<News>,
) -> (LastEvent, Sse<impl Stream<Item = Result<Event, Infallible>>>) {
    // A listener that is too slow misses some news and goes on with the next.
    let news = BroadcastStream::new(news.subscribe()).filter_map(Result::ok);
    let events = news.map(|text| Ok(Event::default().data(text)));
    let bye = Event::default().event("bye").retry(Duration::from_secs(1)).data("reconnect");
    (LastEvent::new(bye), Sse::new(events).keep_alive(KeepAlive::default()))
}

#[durable_write]
async fn publish(State(News(news)): State<News>, text: String) -> StatusCode {
    // `send` fails only without a listener.
    let listeners = news.send(text).unwrap_or_default();
    tracing::info!(listeners, "published");
    StatusCode::ACCEPTED
}

/// Returns the routes.
pub fn app() -> Router {
    Router::new().route("/news", get(listen).post(publish)).with_state(News::default())
}

#[cfg(test)]
mod tests {
    use followthrough_tests::{Server, h1};

    use super::*;

    #[tokio::test]
    async fn a_shutdown_ends_the_stream_with_its_last_event() {
        let server = Server::start(app().into_axum()).await;
        let mut listener = h1::send(server.at, "GET", "/news").await;
        listener.until("\r\n\r\n").await;
        let news =
            "POST /news HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\ntea";
        assert_eq!(h1::raw(server.at, news).await.answer().await.status, 202);
        listener.until("data: tea").await;

        let ending = tokio::spawn(server.stop());
        assert!(listener.rest().await.contains("event: bye"));
        let report = ending.await.unwrap();
        assert_eq!(report.exit_code(), 0, "{report}");
    }
}
