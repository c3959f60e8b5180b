//! A service with a handler for each way in which a request ends.

use axum::extract::{Path, State};
use followthrough::{
    Lifecycle, LifecycleBuilder, Router, ShutdownReport, cancellable, durable_write, exempt,
    routing::{get, post},
};
use followthrough_tests::{Leaving, Marks, Server, h1, soon};

#[cancellable(read, name = "order")]
async fn order(Path(id): Path<u32>) -> String {
    format!("order {id}")
}

#[cancellable(read, name = "wait")]
async fn wait(State(marks): State<Marks>) {
    marks.set("wait begun");
    std::future::pending::<()>().await;
}

#[cancellable(read, deadline = "10ms", name = "slow")]
async fn slow() {
    std::future::pending::<()>().await;
}

#[durable_write(name = "pay")]
async fn pay(State(marks): State<Marks>) {
    marks.set("pay begun");
    marks.until("pay").await;
}

#[exempt(reason = "panics at once", name = "broken")]
async fn broken() {
    panic!("it broke");
}

#[exempt(reason = "answers at once", name = "faulty")]
async fn faulty() -> axum::http::StatusCode {
    axum::http::StatusCode::BAD_GATEWAY
}

/// The number of requests of a [`scene`].
pub const REQUESTS: u32 = 7;

/// A service in which two clients have left: one while its handler read, and one while its durable work went on, as it
/// still does.
#[derive(Debug)]
pub struct Scene {
    server: Server,
    marks: Marks,
}

/// Serves with a lifecycle from `builder`, and plays the clients. `during` is called while the handler `wait` has
/// the only request.
///
/// # Panics
///
/// If an answer is not what it should be.
pub async fn scene(
    builder: LifecycleBuilder,
    observe: impl FnOnce(&Lifecycle),
    during: impl FnOnce(&Lifecycle),
) -> Scene {
    let marks = Marks::default();
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .route("/wait", get(wait))
        .route("/slow", get(slow))
        .route("/pay", post(pay))
        .route("/broken", get(broken))
        .route("/faulty", get(faulty))
        .with_state(marks.clone());
    let server = Server::with(builder, app.into_axum()).await;
    observe(&server.lifecycle);
    let at = server.at;
    assert_eq!(h1::call(at, "GET", "/orders/7").await.status, 200);
    assert_eq!(h1::call(at, "GET", "/slow").await.status, 504);
    assert_eq!(h1::call(at, "GET", "/faulty").await.status, 502);
    assert_eq!(h1::call(at, "BREW", "/pot").await.status, 404);
    h1::send(at, "GET", "/broken").await.ends().await;
    let client = h1::send(at, "GET", "/wait").await;
    marks.until("wait begun").await;
    during(&server.lifecycle);
    drop(client.leave(Leaving::Reset).await);
    let client = h1::send(at, "POST", "/pay").await;
    marks.until("pay begun").await;
    drop(client.leave(Leaving::Reset).await);
    Scene { server, marks }
}

impl Scene {
    /// The lifecycle of the service.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.server.lifecycle
    }

    /// Waits until `is_reached`.
    pub async fn until(&self, what: &str, mut is_reached: impl FnMut() -> bool) {
        soon(what, async {
            while !is_reached() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Lets the durable work land, and ends the service.
    pub async fn end(self) -> ShutdownReport {
        self.marks.set("pay");
        self.server.stop().await
    }
}
