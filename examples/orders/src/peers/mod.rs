//! The other services: a client for each, and a stand-in that answers it on loopback.
//!
//! The stand-ins are plain axum servers without policies.

mod payments;
mod shipping;
mod warehouse;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use payments::Provider;
pub(crate) use payments::{Charge, Payments};
pub(crate) use shipping::{Quote, Shipping};
pub(crate) use warehouse::{Letter, Warehouse};

/// The longest wait for one answer of a peer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why another service did not fulfil a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("{peer} refused: {status}")]
    Refused { peer: &'static str, status: StatusCode },
    #[error("{peer} did not answer: {reason}")]
    NoAnswer { peer: &'static str, reason: String },
}

/// An HTTP service.
#[derive(Clone)]
struct Peer {
    name: &'static str,
    address: SocketAddr,
    http: Client<HttpConnector, Body>,
}

impl Peer {
    fn new(name: &'static str, address: SocketAddr) -> Self {
        Self { name, address, http: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Posts `body` and waits for the answer until `cancel` fires. The caller chooses the token:
    /// the request's ends the wait when the client leaves, and the durable one does not.
    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        cancel: &CancellationToken,
    ) -> Result<T, PeerError> {
        let call = tokio::time::timeout(PATIENCE, self.call(path, body));
        match cancel.run_until_cancelled(call).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Err(self.no_answer(&"out of patience")),
            None => Err(self.no_answer(&"cancelled")),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, PeerError> {
        let body = serde_json::to_vec(body).map_err(|error| self.no_answer(&error))?;
        let request = Request::post(format!("http://{}{path}", self.address))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| self.no_answer(&error))?;
        let answer = self.http.request(request).await.map_err(|error| self.no_answer(&error))?;
        if !answer.status().is_success() {
            return Err(PeerError::Refused { peer: self.name, status: answer.status() });
        }
        let body = to_bytes(Body::new(answer.into_body()), 64 * 1024).await;
        let body = body.map_err(|error| self.no_answer(&error))?;
        serde_json::from_slice(&body).map_err(|error| self.no_answer(&error))
    }

    fn no_answer(&self, reason: &impl ToString) -> PeerError {
        PeerError::NoAnswer { peer: self.name, reason: reason.to_string() }
    }
}

/// Starts a stand-in on a free port.
async fn stand_in(routes: Router) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}
