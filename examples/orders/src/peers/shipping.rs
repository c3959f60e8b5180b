//! Quotes and pick-up slots. Asking costs nothing and changes nothing.

use std::io;
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Peer, PeerError, stand_in};

/// How long the stand-in thinks.
const LATENCY: Duration = Duration::from_millis(200);

/// What shipping will cost.
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
    pub(crate) async fn start() -> io::Result<Self> {
        let routes = Router::new().route("/quotes", post(quote));
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

async fn quote(Json(parcel): Json<Parcel>) -> Json<Quote> {
    tokio::time::sleep(LATENCY).await;
    Json(Quote { cents: 300 + 10 * parcel.quantity })
}
