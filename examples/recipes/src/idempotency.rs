//! How do I charge once, however often a client asks?
//!
//! The client sends an `Idempotency-Key`: a new one for each operation, and the same one in each repetition. A repetition
//! waits for the charge that is under way, or gets its stored answer. The write is a durable one, because the answer is
//! stored only if the body runs to its end. The bank gets a key of its own, derived from the client's.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::idempotency::MemoryStore;
use followthrough::routing::post;
use followthrough::{Idempotency, IdempotencyKey, Router, Scope, durable_write};
use tokio::time::sleep;

/// A bank, which knows a repeated charge by its key; a clone is the same bank.
#[derive(Clone, Debug, Default)]
pub struct Bank(Arc<Mutex<BTreeSet<String>>>);

impl Bank {
    async fn charge(&self, key: String) -> usize {
        sleep(Duration::from_secs(1)).await;
        let mut charges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        charges.insert(key);
        charges.len()
    }
}

/// Returns the store of the answers, which ends with the process, and the scope of the keys.
pub fn keys() -> Idempotency {
    // The gateway in front of this service sets the header after it has checked who asks.
    let customer =
        Scope::by(|head| head.headers.get("x-customer")?.to_str().ok().map(String::from));
    Idempotency::new(MemoryStore::new(), customer)
}

type Answer = (StatusCode, String);

#[durable_write(idempotency_key = "required")]
#[deadline = "10s"]
async fn charge(State(bank): State<Bank>, key: IdempotencyKey, cents: String) -> Answer {
    let number = bank.charge(key.derive("charge")).await;
    (StatusCode::CREATED, format!("charge {number}, of {cents} cents"))
}

/// Returns the routes, for a lifecycle with [`keys`].
pub fn app(bank: Bank) -> Router {
    Router::new().route("/charges", post(charge)).with_state(bank)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use followthrough::testing::TestLifecycle;

    use super::*;
    use crate::ask::ask;

    fn of(customer: &str, cents: &str) -> Request<String> {
        let charge = Request::post("/charges").header("x-customer", customer);
        charge.header("idempotency-key", "\"8e03978e\"").body(cents.to_owned()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_and_asks_again_is_charged_once() {
        let lifecycle = TestLifecycle::with(|builder| builder.idempotency(keys()));
        let app = app(Bank::default()).layer(lifecycle.layer());
        let leaves = app.clone();
        let leaves = tokio::spawn(async move { ask(&leaves, of("ann", "700")).await });
        // The charge begins before this test is polled again.
        tokio::task::yield_now().await;
        leaves.abort();

        let charged = (StatusCode::CREATED, "charge 1, of 700 cents".to_owned());
        assert_eq!(ask(&app, of("ann", "700")).await, charged, "joined");
        assert_eq!(ask(&app, of("ann", "700")).await, charged, "replayed");
        let counts = lifecycle.lifecycle().counts().idempotency;
        assert_eq!((counts.claimed, counts.joined, counts.replayed), (1, 1, 1));

        // Another customer may choose the same key.
        assert_eq!(ask(&app, of("bob", "700")).await.1, "charge 2, of 700 cents");
        assert_eq!(ask(&app, of("ann", "900")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
