//! `GET /live`: a page that shows what the service does at this moment.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{Html, IntoResponse};
use followthrough::{Lifecycle, cancellable, exempt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use super::history::History;
use super::snapshot::Snapshot;

/// The least time between two snapshots.
const LEAST: Duration = Duration::from_millis(200);

/// The rest of the second after which a snapshot follows without an event.
const REST: Duration = Duration::from_millis(800);

/// The page may load nothing, and connect to this port only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The latest snapshot as JSON, for all listeners.
#[derive(Clone)]
pub(super) struct Snapshots(watch::Receiver<String>);

impl Snapshots {
    /// Takes a snapshot after each event or second, and a last one when the service `has_drained`.
    pub(super) fn start(
        lifecycle: Lifecycle,
        history: History,
        has_drained: CancellationToken,
    ) -> Self {
        let (sender, receiver) = watch::channel(String::new());
        drop(tokio::spawn(async move {
            loop {
                let is_last = has_drained.is_cancelled();
                let snapshot = Snapshot::take(&lifecycle, &history, is_last).await;
                sender.send_replace(serde_json::to_string(&snapshot).unwrap_or_default());
                if is_last {
                    break;
                }
                let next = async {
                    sleep(LEAST).await;
                    let _ = timeout(REST, history.grew()).await;
                };
                has_drained.run_until_cancelled(next).await;
            }
        }));
        Self(receiver)
    }
}

/// `GET /live`
#[exempt(reason = "answers at once with a page of the binary")]
pub(super) async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(include_str!("live.html")))
}

/// `GET /live/events`
///
/// The stream ends after the last snapshot, which is of the end of the drain.
#[cancellable(stream)]
pub(super) async fn events(
    State(Snapshots(snapshots)): State<Snapshots>,
) -> Sse<impl Stream<Item = Result<sse::Event, axum::Error>>> {
    let snapshots = WatchStream::new(snapshots).filter(|snapshot| !snapshot.is_empty());
    let events = snapshots.map(|snapshot| Ok(sse::Event::default().data(snapshot)));
    Sse::new(events).keep_alive(KeepAlive::default())
}
