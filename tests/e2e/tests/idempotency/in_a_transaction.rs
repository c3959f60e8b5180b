//! Answers that a transaction of the handler contains.

use axum::extract::State;
use followthrough::{
    IdempotencyKey, Router, durable_write,
    idempotency::{MemoryStore, Store as _, StoreError},
    routing::post,
};
use followthrough_tests::{Log, Server};

use crate::shop::{ask, keyed};

/// Stores the answer as a transaction does.
trait FinishIn {
    async fn finish_in(&self, store: &MemoryStore, answer: &'static str) -> Result<(), StoreError>;
}

impl FinishIn for IdempotencyKey {
    async fn finish_in(&self, store: &MemoryStore, answer: &'static str) -> Result<(), StoreError> {
        let prepared = self.prepare(&answer).await?.expect("the request has a record");
        store.finish(prepared.claim(), prepared.answer()).await?;
        prepared.is_in_transaction();
        Ok(())
    }
}

#[durable_write(idempotency_key = "required")]
async fn pay(
    State(store): State<MemoryStore>,
    key: IdempotencyKey,
    branch: String,
) -> &'static str {
    let answer = "paid";
    if branch == "in the transaction" {
        key.finish_in(&store, answer).await.expect("the claim holds");
    }
    answer
}

#[tokio::test]
async fn only_an_answer_outside_of_the_transaction_is_reported() {
    let log = Log::capture();
    let store = MemoryStore::new();
    let app = Router::new().route("/pay", post(pay)).with_state(store.clone()).into_axum();
    let server = Server::with(keyed(&store), app).await;
    let reports = || log.with("without the `finish_in` of its body").len();

    assert_eq!(ask(server.at, "/pay", "first", "in the transaction").await.body, "paid");
    assert_eq!(reports(), 0);
    assert_eq!(ask(server.at, "/pay", "second", "past it").await.body, "paid");
    assert_eq!(reports(), 1);
}
