//! Under axum-server.

use std::{io, net::SocketAddr};

use axum::Router;
use axum_server::{Handle, Server};
use followthrough::{Lifecycle, ShutdownReport};
use tokio::net::TcpListener;

use super::drain::told_to_stop;

/// Serves until `signal`.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    lifecycle: Lifecycle,
    signal: impl Future<Output = ()> + Send + 'static,
) -> io::Result<ShutdownReport> {
    let app = app
        .layer(lifecycle.layer()) // the last layer is the outermost one
        .into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    let server = Server::<SocketAddr>::from_listener(listener).handle(handle.clone());
    let stopping = lifecycle.clone();
    tokio::spawn(async move {
        told_to_stop(stopping.clone(), signal).await;
        // Connections that are still open when the last moments begin are cut.
        handle.graceful_shutdown(stopping.grace_over().remaining());
    });
    server.serve(app).await?;
    Ok(lifecycle.drained().await)
}
