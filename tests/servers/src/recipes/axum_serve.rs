//! Under `axum::serve`.

use std::{io, net::SocketAddr};

use axum::Router;
use followthrough::{Lifecycle, ShutdownReport};
use tokio::net::TcpListener;

use super::drain::{told_to_stop, until_drained};

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
    let server = axum::serve(listener, app)
        .with_graceful_shutdown(told_to_stop(lifecycle.clone(), signal))
        .into_future();
    until_drained(&lifecycle, server).await
}
