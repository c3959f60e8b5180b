//! The warehouse, to which the relay delivers the outbox. The warehouse ignores a letter that it
//! already has.

use std::io;

use axum::routing::post;
use axum::{Json, Router};
use tokio_util::sync::CancellationToken;

use super::{Peer, PeerError, stand_in};
use crate::db::Letter;

/// The client.
#[derive(Clone)]
pub(crate) struct Warehouse(Peer);

impl Warehouse {
    pub(crate) async fn start() -> io::Result<Self> {
        let routes = Router::new().route("/letters", post(|letter: Json<Letter>| async { letter }));
        Ok(Self(Peer::new("warehouse", stand_in(routes).await?)))
    }

    /// Delivers one letter. After `Ok`, the warehouse has it.
    pub(crate) async fn deliver(
        &self,
        letter: &Letter,
        cancel: &CancellationToken,
    ) -> Result<(), PeerError> {
        self.0.post::<Letter>("/letters", letter, cancel).await.map(drop)
    }
}
