//! A shop whose orders are counted.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use axum::{Router, extract::State, http::StatusCode, routing::MethodRouter};
use followthrough::{
    Idempotency, IdempotencyKey, LifecycleBuilder, RequestToken, Scope, cancellable, durable_write,
    idempotency::MemoryStore,
};
use http::Request;
use tokio::sync::oneshot;

#[derive(Clone, Default)]
pub(crate) struct Shop {
    charged: Arc<AtomicU32>,
    shipped: Arc<AtomicU32>,
    orders: Arc<AtomicU32>,
    pub(crate) keys: Arc<Mutex<Vec<String>>>,
}

/// Waits for another task, as a query does.
pub(crate) async fn elsewhere() {
    let (done, waits) = oneshot::channel();
    tokio::spawn(async { done.send(()) });
    let _ = waits.await;
}

impl Shop {
    /// Charges and ships, and returns the number of the order.
    async fn write(&self) -> u32 {
        elsewhere().await;
        self.charged.fetch_add(1, SeqCst);
        elsewhere().await;
        self.shipped.fetch_add(1, SeqCst);
        self.orders.fetch_add(1, SeqCst) + 1
    }

    /// Returns the number of charges and shipments since the last call.
    pub(crate) fn take(&self) -> [u32; 2] {
        [&self.charged, &self.shipped].map(|count| count.swap(0, SeqCst))
    }

    /// Returns the number of the last order.
    pub(crate) fn last(&self) -> u32 {
        self.orders.load(SeqCst)
    }
}

#[durable_write(idempotency_key = "required")]
pub(crate) async fn keyed(
    State(shop): State<Shop>,
    key: IdempotencyKey,
    _: String,
) -> (StatusCode, String) {
    shop.keys.lock().expect("nothing panics").push(key.to_string());
    (StatusCode::CREATED, format!("order {}", shop.write().await))
}

#[cancellable(read, idempotency_key = "optional")]
pub(crate) async fn keyed_site(State(shop): State<Shop>, token: RequestToken, _: String) -> String {
    let _ = &token;
    elsewhere().await;
    #[durable_write]
    let order = shop.write().await;
    elsewhere().await;
    format!("order {order}")
}

#[durable_write]
pub(crate) async fn without_a_key(State(shop): State<Shop>, _: String) -> &'static str {
    shop.write().await;
    "ordered"
}

#[durable_write]
pub(crate) async fn numbered_without_a_key(State(shop): State<Shop>) -> String {
    format!("order {}", shop.write().await)
}

pub(crate) fn app(shop: &Shop, handler: MethodRouter<Shop>) -> Router {
    Router::new().route("/", handler).with_state(shop.clone())
}

pub(crate) fn order() -> Request<String> {
    Request::post("/").body("one bicycle".to_owned()).expect("a sound request")
}

/// Returns the settings of the lifecycles of one search, which share a store.
pub(crate) fn with_store() -> impl Fn(LifecycleBuilder) -> LifecycleBuilder {
    let keys = Idempotency::new(MemoryStore::new(), Scope::global("each test is one client"));
    move |builder| builder.idempotency(keys.clone())
}
