//! The servers: one process for each, with one worker thread.

mod bodies;
mod handlers;
pub(super) mod tls;

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    serve::{Listener, ListenerExt},
};
use followthrough::Lifecycle;
use tokio::net::TcpListener;

pub(super) use self::bodies::now;
use self::{bodies::Shared, tls::Handshakes};
use super::{descriptors, sides::Side};
use crate::{
    calls::on_workers,
    wire::{WORKER_THREADS, print_address},
};

/// Serves `side` on a free port of loopback until stdin closes or a client asks for the end. With a
/// folder of a certificate it speaks TLS.
pub(super) fn serve(side: Side, certificate: Option<&Path>) -> Result<(), String> {
    descriptors::raise();
    on_workers(WORKER_THREADS).block_on(async {
        let shared = Arc::new(Shared::new());
        let app = handlers::routes(side, &shared);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.map_err(|error| format!("cannot listen: {error}"))?;
        print_address(listener.local_addr().map_err(|error| format!("no address: {error}"))?);
        let ended = if side.is_ours() {
            ours(listener, app, shared, certificate).await
        } else {
            theirs(side, listener, app, shared, certificate).await
        };
        ended.map_err(|error| format!("the server ended: {error}"))
    })
}

async fn ours(
    listener: TcpListener,
    app: Router,
    shared: Arc<Shared>,
    certificate: Option<&Path>,
) -> std::io::Result<()> {
    let lifecycle =
        Lifecycle::builder().read_grace(Duration::ZERO).build().map_err(std::io::Error::other)?;
    let mut serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    if let Some(folder) = certificate {
        serve = serve.tls(tls::server(folder).map_err(std::io::Error::other)?);
    }
    tokio::spawn(async move {
        shared.stop.notified().await;
        lifecycle.shutdown();
    });
    serve.await.map(drop)
}

async fn theirs(
    side: Side,
    listener: TcpListener,
    app: Router,
    shared: Arc<Shared>,
    certificate: Option<&Path>,
) -> std::io::Result<()> {
    if let Some(folder) = certificate {
        let config = tls::server(folder).map_err(std::io::Error::other)?;
        let listener = Handshakes::new(listener, config, side.has_nodelay())?;
        return bare(listener, app, shared).await;
    }
    if !side.has_nodelay() {
        return bare(listener, app, shared).await;
    }
    let listener = listener.tap_io(|stream| {
        // A connection that has gone meanwhile takes no option, and needs none.
        let _ = stream.set_nodelay(true);
    });
    bare(listener, app, shared).await
}

async fn bare<L>(listener: L, app: Router, shared: Arc<Shared>) -> std::io::Result<()>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let stop = async move {
        shared.stop.notified().await;
        shared.stopping.cancel();
    };
    axum::serve(listener, app).with_graceful_shutdown(stop).await
}
