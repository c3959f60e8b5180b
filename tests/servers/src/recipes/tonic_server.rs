//! Under tonic.

use axum::extract::FromRequestParts;
use followthrough::{Cancelled, Lifecycle, RequestToken, ShutdownReport};
use tokio::net::TcpListener;
use tonic::{
    Status,
    transport::{Error, Server, server::TcpIncoming},
};

use super::drain::{told_to_stop, until_drained};
use crate::grpc::{Orders, OrdersServer};

/// Serves until `signal`.
pub async fn serve(
    listener: TcpListener,
    orders: impl Orders,
    lifecycle: Lifecycle,
    signal: impl Future<Output = ()>,
) -> Result<ShutdownReport, Error> {
    let server = Server::builder()
        .layer(lifecycle.layer()) // the first layer is the outermost one
        .add_service(OrdersServer::new(orders))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener),
            told_to_stop(lifecycle.clone(), signal),
        );
    until_drained(&lifecycle, server).await
}

/// Returns the gRPC status of a cancelled governed function.
#[must_use]
pub fn status(cancelled: Cancelled) -> Status {
    match cancelled.status().as_u16() {
        499 => Status::cancelled(cancelled.to_string()),
        504 => Status::deadline_exceeded(cancelled.to_string()),
        _ => Status::unavailable(cancelled.to_string()),
    }
}

/// Returns the token of the running request, which methods of tonic cannot take as an argument.
pub async fn token() -> RequestToken {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    let Ok(token) = RequestToken::from_request_parts(&mut parts, &()).await;
    token
}
