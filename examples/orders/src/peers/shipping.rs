//! Quotes and pick-up slots. A quote costs nothing and changes nothing.

use std::io;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Peer, PeerError, stand_in};

/// The price of shipping.
#[derive(Deserialize, Serialize)]
pub(crate) struct Quote {
    pub(crate) cents: i64,
}

#[derive(Deserialize)]
struct Parcel {
    quantity: i64,
}

/// The client.
#[derive(Clone)]
pub(crate) struct Shipping(Peer);

impl Shipping {
    /// Starts the stand-in, which answers after `latency`.
    pub(crate) async fn start(latency: Duration) -> io::Result<Self> {
        let routes = Router::new().route("/quotes", post(quote)).with_state(latency);
        Ok(Self(Peer::new("shipping", stand_in(routes).await?)))
    }

    pub(crate) async fn quote(
        &self,
        sku: &str,
        quantity: i64,
        cancel: &CancellationToken,
    ) -> Result<Quote, PeerError> {
        self.0.post("/quotes", &json!({ "sku": sku, "quantity": quantity }), cancel).await
    }
}

async fn quote(State(latency): State<Duration>, Json(parcel): Json<Parcel>) -> Json<Quote> {
    tokio::time::sleep(latency).await;
    Json(Quote { cents: 300 + 10 * parcel.quantity })
}
