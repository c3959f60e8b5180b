//! Attributes of other crates on annotated functions, over a socket.

use async_trait::async_trait;
use axum::{Router, debug_handler, extract::State, routing::post};
use followthrough::{Cancelled, cancellable, durable_write};
use followthrough_tests::{Log, Marks, Server, h1};
use tracing::{Span, instrument};

use crate::app::marked;

fn span() -> &'static str {
    Span::current().metadata().map_or("no span", |metadata| metadata.name())
}

#[instrument(skip_all, err, ret)]
#[durable_write]
#[debug_handler]
async fn place(State(marks): State<Marks>) -> Result<String, String> {
    marks.set("begun");
    marks.until("go").await;
    marks.set(format!("landed in {}", span()));
    Ok("placed".to_owned())
}

/// The body keeps the span of `#[instrument]` when its client has left.
#[tokio::test]
async fn a_write_keeps_its_instrument_span_after_its_client_has_left() {
    let _log = Log::capture();
    let marks = Marks::default();
    let app = Router::new().route("/", post(place)).with_state(marks.clone());
    let server = Server::with(marked(&marks), app).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    call.hang_up();
    marks.until("place ClientDisconnected").await;
    marks.set("go");
    marks.until("landed in place").await;
}

#[durable_write(internal)]
async fn insert(marks: Marks) -> u32 {
    marks.set("inserting");
    marks.until("go").await;
    marks.set("inserted");
    7
}

/// `#[async_trait]` makes a method a boxed future that borrows `self`, so the policy stands on the
/// function that the method calls.
#[async_trait]
trait Orders: Send + Sync {
    async fn insert(&self) -> Result<u32, Cancelled>;
}

#[async_trait]
impl Orders for Marks {
    async fn insert(&self) -> Result<u32, Cancelled> {
        insert(self.clone()).await.into_result()
    }
}

#[cancellable(idempotent_write)]
async fn by_trait(State(marks): State<Marks>) -> Result<String, Cancelled> {
    let orders: &dyn Orders = &marks;
    Ok(format!("order {}", orders.insert().await?))
}

#[tokio::test]
async fn a_method_of_an_async_trait_calls_a_governed_function() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(by_trait)).with_state(marks.clone());
    let server = Server::with(marked(&marks), app).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("inserting").await;
    call.hang_up();
    marks.until("by_trait ClientDisconnected").await;
    marks.set("go");
    marks.until("inserted").await;
    assert_eq!(h1::call(server.at, "POST", "/").await.body, "order 7");
}
