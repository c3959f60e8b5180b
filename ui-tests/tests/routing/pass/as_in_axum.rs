use axum::{
    extract::{Path, State},
    http::StatusCode,
    Json,
};
use followthrough::{
    cancellable, durable_write, exempt, policy,
    routing::{any, delete, get, head, options, patch, post, put, MethodRouter},
    Lifecycle, Router,
};
use std::time::Duration;

#[derive(Clone)]
struct Db;

#[cancellable(read)]
async fn show(State(_): State<Db>, Path(id): Path<u64>) -> Result<Json<u64>, StatusCode> {
    Ok(Json(id))
}

#[cancellable(stream)]
async fn events() -> &'static str {
    "…"
}

#[durable_write(max_in_flight = 4)]
#[deadline = "2s"]
async fn place(State(_): State<Db>, Json(order): Json<u64>) -> (StatusCode, Json<u64>) {
    (StatusCode::CREATED, Json(order))
}

#[cancellable(read)]
async fn with_a_site(State(_): State<Db>) {
    #[durable_write]
    store().await;
}

async fn store() {}

#[exempt(reason = "answers at once")]
async fn health() {}

struct Orders;

impl Orders {
    #[cancellable(read)]
    async fn list<const N: usize>() -> [u8; N] {
        [0; N]
    }
}

fn orders() -> MethodRouter<Db> {
    get(show).put(place).patch(with_a_site).delete(with_a_site).head(health).options(health)
}

fn app(lifecycle: &Lifecycle) -> Router {
    let api = Router::new().route("/orders/{id}", orders()).route("/orders", post(place));
    let others = axum::Router::new().route("/metrics", axum::routing::get(|| async {}));
    Router::new()
        .nest("/api", api)
        .merge(Router::new().route("/events", any(events)))
        .merge_axum(others, "the exporter of the metrics crate")
        .route("/ready", get(lifecycle.readiness()))
        .route("/list", get(Orders::list::<3>))
        .route("/a", put(with_a_site))
        .route("/b", patch(with_a_site).merge(delete(with_a_site)))
        .route("/c", head(health))
        .route("/d", options(health))
        .route("/e", get(policy::read(|Path(id): Path<u64>| async move { id.to_string() })))
        .route("/f", post(policy::durable_write(|State(_): State<Db>| async { "landed" })))
        .route("/g", get(policy::exempt("static", || async {}).name("static").deadline(Duration::from_secs(1))))
        .fallback(health)
        .with_state(Db)
}

async fn run(tcp: tokio::net::TcpListener, lifecycle: Lifecycle) -> std::io::Result<()> {
    let app = app(&lifecycle);
    let _axum: axum::Router = app.clone().into_axum();
    followthrough::serve(tcp, app).lifecycle(lifecycle).await?;
    Ok(())
}

fn main() {
    let _ = run;
}
