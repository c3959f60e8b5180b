//! The operations port: `GET /metrics` for Prometheus and `GET /live` for a person.
//!
//! The port is apart from that of the service, because the service accepts no connections while it drains. It is
//! answered until the process ends.

mod history;
mod live;
mod snapshot;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{self, Next};
use followthrough::routing::{MethodRouter, Routes, get};
use followthrough::{Lifecycle, Router};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) use self::history::History;
use self::live::Snapshots;

/// How long the process waits for a last scrape.
const LAST_SCRAPE: Duration = Duration::from_secs(3);

/// How long the process waits for the answers on this port.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Lists the routes of the operations port.
pub(crate) fn list(lifecycle: &Lifecycle) -> Routes {
    routes(get(lifecycle.metrics())).routes()
}

fn routes(metrics: MethodRouter<Snapshots>) -> Router<Snapshots> {
    Router::new()
        .route("/metrics", metrics)
        .route("/live", get(live::page))
        .route("/live/events", get(live::events))
}

/// The server of the operations port.
pub(crate) struct Operations {
    /// The address that the port is bound to.
    pub(crate) address: SocketAddr,
    has_drained: CancellationToken,
    was_scraped: CancellationToken,
    may_end: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

impl Operations {
    /// Serves on `listener` until [`finish`](Self::finish).
    pub(crate) fn start(
        listener: TcpListener,
        address: SocketAddr,
        lifecycle: &Lifecycle,
        history: History,
    ) -> Self {
        let [has_drained, was_scraped, may_end] = std::array::from_fn(|_| CancellationToken::new());
        let snapshots = Snapshots::start(lifecycle.clone(), history, has_drained.clone());
        let (drained, scraped) = (has_drained.clone(), was_scraped.clone());
        let note_last_scrape = middleware::from_fn(move |request: Request, next: Next| {
            let (drained, scraped) = (drained.clone(), scraped.clone());
            async move {
                let is_last = drained.is_cancelled();
                let response = next.run(request).await;
                if is_last {
                    scraped.cancel();
                }
                response
            }
        });
        let metrics = get(lifecycle.metrics()).layer(note_last_scrape);
        let routes = routes(metrics).with_state(snapshots);
        let server = axum::serve(listener, routes.into_axum())
            .with_graceful_shutdown(may_end.clone().cancelled_owned());
        let server = tokio::spawn(server.into_future());
        Self { address, has_drained, was_scraped, may_end, server }
    }

    /// Waits after the drain until the metrics were scraped once more, so that the last scrape agrees with the
    /// report. Waits 3 s at most.
    pub(crate) async fn finish(self) {
        self.has_drained.cancel();
        if timeout(LAST_SCRAPE, self.was_scraped.cancelled()).await.is_err() {
            tracing::info!("no scrape came after the end of the drain");
        }
        self.may_end.cancel();
        // An answer that its reader does not take ends with the process.
        let _ = timeout(LAST_ANSWERS, self.server).await;
    }
}
