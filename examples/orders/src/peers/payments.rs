//! The payment provider. The stand-in charges when the request arrives and answers later, so a client that
//! hangs up in between has paid without knowing it. That is the reason for the point of no return
//! of an order.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Peer, PeerError, stand_in};
use crate::extract::new_id;

/// How often a charge is tried. The key makes a repetition safe.
const TRIES: usize = 3;

/// A charge that was made.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) amount_cents: i64,
}

/// The client.
#[derive(Clone)]
pub(crate) struct Payments(Peer);

impl Payments {
    /// Starts the stand-in, which answers after `latency`.
    pub(crate) async fn start(latency: Duration) -> io::Result<(Self, Provider)> {
        let provider = Provider { latency, ..Provider::default() };
        let routes = Router::new()
            .route("/charges", post(charge))
            .route("/charges/{id}/refund", post(refund))
            .with_state(provider.clone());
        Ok((Self(Peer::new("payments", stand_in(routes).await?)), provider))
    }

    /// Charges once, however often it has to ask, because the provider recognizes a repetition by
    /// its key.
    pub(crate) async fn charge(
        &self,
        key: &str,
        amount_cents: i64,
        cancel: &CancellationToken,
    ) -> Result<Charge, PeerError> {
        let body = json!({ "key": key, "amount_cents": amount_cents });
        let mut tries = 0;
        loop {
            tries += 1;
            match self.0.post("/charges", &body, cancel).await {
                Err(PeerError::NoAnswer { reason, .. })
                    if tries < TRIES && !cancel.is_cancelled() =>
                {
                    tracing::warn!(key, tries, reason, "charging again");
                }
                Err(error @ PeerError::NoAnswer { .. }) => {
                    // The provider may have charged, so the log has the key with which a person can
                    // find out.
                    tracing::error!(key, %error, "charge unknown: settle it by its key");
                    return Err(error);
                }
                outcome => return outcome,
            }
        }
    }

    pub(crate) async fn refund(
        &self,
        charge: &Charge,
        cancel: &CancellationToken,
    ) -> Result<(), PeerError> {
        let path = format!("/charges/{}/refund", charge.id);
        match self.0.post::<Charge>(&path, &json!({}), cancel).await {
            Ok(_) => tracing::info!(charge = charge.id, "refunded"),
            Err(error) => {
                tracing::error!(charge = charge.id, %error, "not refunded: settle it by its id");
                return Err(error);
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Wanted {
    key: String,
    amount_cents: i64,
}

/// The stand-in's books. A clone shows the same ones.
#[derive(Clone, Default)]
pub struct Provider {
    entries: Arc<Mutex<Vec<Entry>>>,
    latency: Duration,
}

struct Entry {
    key: String,
    charge: Charge,
    refunded: bool,
}

impl Provider {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of charges, and of those that were refunded.
    pub fn totals(&self) -> (usize, usize) {
        let entries = self.entries();
        (entries.len(), entries.iter().filter(|entry| entry.refunded).count())
    }

    /// Logs the totals, because the stand-in's books end with the process.
    pub(crate) fn log_totals(&self) {
        let (charges, refunds) = self.totals();
        tracing::info!(charges, refunds, "the payment provider closes its books");
    }

    fn charge(&self, wanted: Wanted) -> Result<Charge, StatusCode> {
        let mut entries = self.entries();
        let known = entries.iter().find(|entry| entry.key == wanted.key && !entry.refunded);
        match known {
            Some(known) if known.charge.amount_cents == wanted.amount_cents => {
                Ok(known.charge.clone())
            }
            Some(_) => Err(StatusCode::CONFLICT),
            None => {
                let id = format!("ch_{}", new_id());
                let charge = Charge { id, amount_cents: wanted.amount_cents };
                let entry = Entry { key: wanted.key, charge: charge.clone(), refunded: false };
                entries.push(entry);
                Ok(charge)
            }
        }
    }

    fn refund(&self, id: &str) -> Result<Charge, StatusCode> {
        let mut entries = self.entries();
        let entry = entries.iter_mut().find(|entry| entry.charge.id == id);
        let entry = entry.ok_or(StatusCode::NOT_FOUND)?;
        entry.refunded = true;
        Ok(entry.charge.clone())
    }
}

async fn charge(
    State(provider): State<Provider>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Charge>, StatusCode> {
    let charge = provider.charge(wanted)?;
    tokio::time::sleep(provider.latency).await;
    Ok(Json(charge))
}

async fn refund(
    State(provider): State<Provider>,
    Path(id): Path<String>,
) -> Result<Json<Charge>, StatusCode> {
    provider.refund(&id).map(Json)
}
