//! Other attributes on an annotated handler, over a socket. `ui-tests` has each order that compiles.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{debug_handler, extract::State};
use followthrough::{
    Router, cancellable, durable_write,
    routing::{get, post},
};
use followthrough_tests::{Log, Marks, Server, h1};
use http::StatusCode;
use tokio_util::sync::CancellationToken;
use tracing::instrument;

use crate::handlers::until_detached;

/// A trait whose methods `async_trait` boxes.
#[async_trait]
trait Orders: Send + Sync {
    async fn insert(&self, cancel: &CancellationToken) -> bool;
}

#[async_trait]
impl Orders for Marks {
    async fn insert(&self, cancel: &CancellationToken) -> bool {
        self.set("begun");
        self.until("go").await;
        self.set(format!(
            "landed in {:?}",
            tracing::Span::current().metadata().map(tracing::Metadata::name)
        ));
        cancel.is_cancelled()
    }
}

type Db = Arc<dyn Orders>;

#[durable_write]
async fn whole(State(db): State<Db>, cancel: CancellationToken) -> String {
    db.insert(&cancel).await.to_string()
}

#[cancellable(read)]
#[debug_handler(state = Db)]
async fn with_debug_handler(State(db): State<Db>, cancel: CancellationToken) -> String {
    #[durable_write]
    let cancelled = db.insert(&cancel).await;
    cancelled.to_string()
}

#[instrument(name = "above", skip_all)]
#[durable_write]
async fn instrument_above(State(db): State<Db>, cancel: CancellationToken) -> String {
    db.insert(&cancel).await.to_string()
}

#[durable_write]
#[instrument(name = "below", skip_all)]
async fn instrument_below(State(db): State<Db>, cancel: CancellationToken) -> String {
    db.insert(&cancel).await.to_string()
}

#[cfg_attr(all(), cancellable(read, deadline = "20ms"))]
async fn by_cfg_attr() -> &'static str {
    std::future::pending().await
}

#[instrument(err, ret)]
#[cancellable(read)]
async fn fails() -> Result<String, StatusCode> {
    std::future::ready(Err(StatusCode::CONFLICT)).await
}

async fn start(marks: &Marks) -> Server {
    let db: Db = Arc::new(marks.clone());
    let app = Router::new()
        .route("/whole", post(whole))
        .route("/debug-handler", post(with_debug_handler))
        .route("/above", post(instrument_above))
        .route("/below", post(instrument_below))
        .route("/cfg-attr", get(by_cfg_attr))
        .route("/fails", get(fails))
        .with_state(db);
    Server::start(app.into_axum()).await
}

/// Leaves in the middle of a write on `path`. Returns the mark that it lands with.
async fn lands_after_its_client_left(path: &str) -> String {
    let (_log, marks) = (Log::capture(), Marks::default());
    let server = start(&marks).await;
    let call = h1::send(server.at, "POST", path).await;
    marks.until("begun").await;
    call.hang_up();
    until_detached(&server).await;
    marks.set("go");
    let report = server.stop().await;
    assert_eq!(report.durable.followed_through, 1, "{path}: {report}");
    marks.all().into_iter().find(|mark| mark.starts_with("landed")).expect("it has landed")
}

#[tokio::test]
async fn a_boxed_method_of_a_trait_follows_through() {
    assert_eq!(lands_after_its_client_left("/whole").await, "landed in None");
}

#[tokio::test]
async fn a_site_below_debug_handler_follows_through() {
    assert_eq!(lands_after_its_client_left("/debug-handler").await, "landed in None");
}

#[tokio::test]
async fn the_span_of_instrument_stays_with_a_write() {
    assert_eq!(lands_after_its_client_left("/above").await, r#"landed in Some("above")"#);
    assert_eq!(lands_after_its_client_left("/below").await, r#"landed in Some("below")"#);
}

#[tokio::test]
async fn a_policy_in_cfg_attr_is_a_policy() {
    let server = start(&Marks::default()).await;
    assert_eq!(h1::call(server.at, "GET", "/cfg-attr").await.status, 504);
    server.stop().await;
}

#[tokio::test]
async fn an_error_of_an_instrumented_handler_is_its_answer() {
    let server = start(&Marks::default()).await;
    assert_eq!(h1::call(server.at, "GET", "/fails").await.status, 409);
    server.stop().await;
}
