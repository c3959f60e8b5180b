//! A shop whose writes have keys, and clients that repeat their requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
};

use axum::{
    extract::State,
    response::{AppendHeaders, IntoResponse},
};
use followthrough::{
    Idempotency, IdempotencyKey, LifecycleBuilder, RequestToken, Router, Scope, cancellable,
    durable_write,
    idempotency::{
        Claim, Claimed, Finished, Heartbeat, MemoryStore, NewClaim, Record, RecordId, Store,
        StoreError, StoreFuture, StoredAnswer,
    },
    routing::post,
};
use followthrough_tests::{Marks, Server, h1, lifecycle};
use http::{StatusCode, header::SET_COOKIE};

/// The state of the shop: each handler marks its steps and waits for `go`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shop {
    pub(crate) marks: Marks,
    pub(crate) runs: Arc<AtomicU32>,
}

impl Shop {
    pub(crate) fn runs(&self) -> u32 {
        self.runs.load(SeqCst)
    }

    /// Runs a write, which has an effect as soon as it begins.
    async fn write(&self) -> u32 {
        let run = self.runs.fetch_add(1, SeqCst) + 1;
        self.marks.set(format!("begun {run}"));
        self.marks.until(&format!("go {run}")).await;
        run
    }

    /// Lets the write with this number end.
    pub(crate) fn go(&self, run: u32) {
        self.marks.set(format!("go {run}"));
    }

    pub(crate) async fn begun(&self, run: u32) {
        self.marks.until(&format!("begun {run}")).await;
    }
}

#[durable_write(idempotency_key = "required", deadline = "30s")]
async fn pay(State(shop): State<Shop>, body: String) -> impl IntoResponse {
    let run = shop.write().await;
    let headers = AppendHeaders([("x-note", "kept"), (SET_COOKIE.as_str(), "session=1")]);
    (StatusCode::CREATED, headers, format!("order {run} of {body}"))
}

#[durable_write(idempotency_key = "required", deadline = "200ms")]
async fn pay_slowly(State(shop): State<Shop>) -> String {
    format!("order {}", shop.write().await)
}

#[durable_write(idempotency_key = "optional")]
async fn pay_perhaps(State(shop): State<Shop>, key: Option<IdempotencyKey>) -> String {
    let run = shop.runs.fetch_add(1, SeqCst) + 1;
    format!("order {run} with {key:?}")
}

#[durable_write(idempotency_key = "required", after_crash = "again")]
async fn pay_again(State(shop): State<Shop>) -> String {
    format!("order {}", shop.write().await)
}

#[durable_write(idempotency_key = "required", keep = "1ms")]
async fn pay_briefly(State(shop): State<Shop>) -> String {
    format!("order {}", shop.write().await)
}

#[durable_write(idempotency_key = "required")]
async fn fail(State(shop): State<Shop>) -> Result<String, (StatusCode, String)> {
    let run = shop.runs.fetch_add(1, SeqCst) + 1;
    Err((StatusCode::BAD_GATEWAY, format!("the bank refused order {run}")))
}

#[durable_write(idempotency_key = "required")]
async fn panic(State(shop): State<Shop>) -> String {
    panic!("at order {}", shop.runs.fetch_add(1, SeqCst) + 1);
}

#[cancellable(read, idempotency_key = "required")]
async fn order(
    State(shop): State<Shop>,
    key: IdempotencyKey,
    cancel: RequestToken,
    body: String,
) -> Result<String, StatusCode> {
    let _ = &cancel;
    shop.marks.set(format!("stock of {key}"));
    if body == "sold out" {
        return Err(StatusCode::CONFLICT);
    }
    if body == "slow" {
        shop.marks.until("stock").await;
    }
    #[durable_write]
    let run = shop.write().await;
    Ok(format!("order {run} of {body}"))
}

/// Comes to its point of no return after its deadline, without an await before it.
#[cancellable(read, idempotency_key = "required", deadline = "20ms")]
async fn order_late(State(shop): State<Shop>, key: IdempotencyKey) -> String {
    std::thread::sleep(std::time::Duration::from_millis(30));
    #[durable_write]
    shop.marks.set(format!("written for {key}"));
    "written".to_owned()
}

/// Calls a durable handler, which passes the point of no return of its caller.
#[cancellable(read, idempotency_key = "required")]
async fn order_by_call(
    State(shop): State<Shop>,
    key: IdempotencyKey,
) -> Result<String, StatusCode> {
    let run = insert(shop.clone()).await.into_result().map_err(|_| StatusCode::BAD_GATEWAY)?;
    #[durable_write]
    shop.marks.set(format!("mailed {key}"));
    Ok(format!("order {run}"))
}

#[durable_write(internal)]
async fn insert(shop: Shop) -> u32 {
    shop.write().await
}

pub(crate) fn app(shop: &Shop) -> axum::Router {
    Router::new()
        .route("/pay", post(pay))
        .route("/pay-slowly", post(pay_slowly))
        .route("/pay-perhaps", post(pay_perhaps))
        .route("/pay-again", post(pay_again))
        .route("/pay-briefly", post(pay_briefly))
        .route("/fail", post(fail))
        .route("/panic", post(panic))
        .route("/order", post(order))
        .route("/order-late", post(order_late))
        .route("/order-by-call", post(order_by_call))
        .with_state(shop.clone())
        .into_axum()
}

/// The keys of all clients of these tests are in one scope.
pub(crate) fn keys(store: &(impl Store + Clone)) -> Idempotency {
    Idempotency::new(store.clone(), Scope::global("each test has one client"))
}

pub(crate) fn keyed(store: &(impl Store + Clone)) -> LifecycleBuilder {
    lifecycle().idempotency(keys(store))
}

/// Starts a server with a store of its own.
pub(crate) async fn serve(shop: &Shop) -> (Server, MemoryStore) {
    let store = MemoryStore::new();
    (Server::with(keyed(&store), app(shop)).await, store)
}

/// Sends a request with a key.
pub(crate) async fn send(at: SocketAddr, path: &str, key: &str, body: &str) -> h1::Call {
    with_head(at, path, &format!("idempotency-key: \"{key}\"\r\n"), body).await
}

/// Sends a request with these header lines.
pub(crate) async fn with_head(at: SocketAddr, path: &str, head: &str, body: &str) -> h1::Call {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\n{head}content-length: {length}\r\n\r\n{body}"
    );
    h1::raw(at, request).await
}

/// Sends a request with a key, and returns its answer.
pub(crate) async fn ask(at: SocketAddr, path: &str, key: &str, body: &str) -> h1::Answer {
    send(at, path, key, body).await.answer().await
}

pub(crate) fn is_replayed(answer: &h1::Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

/// A store that fails while it is down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flaky {
    pub(crate) store: MemoryStore,
    pub(crate) is_down: Arc<AtomicBool>,
}

impl Flaky {
    fn up<'a, T: Send + 'a>(&self, future: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        if self.is_down.load(SeqCst) {
            return Box::pin(async { Err(StoreError::new("the store is down")) });
        }
        future
    }
}

impl Store for Flaky {
    fn beat<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<Heartbeat>> {
        self.up(self.store.beat(owner))
    }

    fn retire<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, ()> {
        self.up(self.store.retire(owner))
    }

    fn look<'a>(&'a self, id: &'a RecordId) -> StoreFuture<'a, Option<Record>> {
        self.up(self.store.look(id))
    }

    fn claim<'a>(&'a self, id: &'a RecordId, claim: &'a NewClaim) -> StoreFuture<'a, Claimed> {
        if self.is_down.load(SeqCst) {
            return Box::pin(async { Err(StoreError::new("the store is down")) });
        }
        self.store.claim(id, claim)
    }

    fn take_over<'a>(
        &'a self,
        from: &'a Claim,
        claim: &'a NewClaim,
    ) -> StoreFuture<'a, Option<Claim>> {
        self.up(self.store.take_over(from, claim))
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: &'a StoredAnswer,
    ) -> StoreFuture<'a, Finished> {
        if self.is_down.load(SeqCst) {
            return Box::pin(async { Err(StoreError::new("the store is down")) });
        }
        self.store.finish(claim, answer)
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> StoreFuture<'a, ()> {
        self.up(self.store.release(claim))
    }

    fn expire(&self, limit: u32) -> StoreFuture<'_, u32> {
        self.up(self.store.expire(limit))
    }
}
