//! The warehouse, to which the relay delivers the letters of the outbox. The warehouse ignores a
//! letter whose id it already has.

use std::io;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use followthrough_outbox::{PublishError, Publisher, StoredMessage};
use serde::{Deserialize, Serialize};

use super::{Peer, PeerError, stand_in};
use crate::events::Events;

/// The most pieces of a letter that the stand-in takes, so that a person can see one parked.
const MOST_PIECES: i64 = 75;

/// A letter about an order, as `POST /orders` enqueues it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Letter {
    order: i64,
    sku: String,
    quantity: i64,
}

/// The client, which publishes the letters.
pub(crate) struct Warehouse {
    peer: Peer,
    events: Events,
}

impl Warehouse {
    pub(crate) async fn start(events: Events) -> io::Result<Self> {
        let routes = Router::new().route("/letters/{id}", post(receive));
        Ok(Self { peer: Peer::new("warehouse", stand_in(routes).await?), events })
    }
}

async fn receive(
    Path(_id): Path<String>,
    letter: Json<Letter>,
) -> Result<Json<Letter>, StatusCode> {
    if letter.quantity > MOST_PIECES { Err(StatusCode::UNPROCESSABLE_ENTITY) } else { Ok(letter) }
}

impl Publisher for Warehouse {
    async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
        let letter = serde_json::from_slice(message.payload()).map_err(PublishError::never)?;
        let id = message.id();
        // The relay ends a call that takes too long.
        match self.peer.call::<Letter>(&format!("/letters/{id}"), &letter).await {
            Ok(Letter { order, .. }) => {
                tracing::info!(order, "order delivered to the warehouse");
                self.events.send(letter);
                Ok(())
            }
            Err(error @ PeerError::Refused { status, .. })
                if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS =>
            {
                Err(PublishError::never(error))
            }
            Err(error) => Err(PublishError::later(error)),
        }
    }
}
