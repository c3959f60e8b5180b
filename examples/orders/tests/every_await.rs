//! The routes of orders and holds, with a client that leaves at each of their `await`s.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use followthrough::testing::{DisconnectRun, disconnect_at_every_await};
use followthrough::{Lifecycle, Router};
use orders::Latency;
use serde_json::Value;
use tower::ServiceExt;

const PLENTY: usize = 100_000;
const BRIEF: Duration = Duration::from_millis(2);

/// Returns the service over an in-memory database with enough tea.
async fn shop() -> Router {
    let lifecycle = Lifecycle::builder().idempotency(orders::keys()).signals(false).build();
    let lifecycle = lifecycle.expect("the defaults are sound");
    let quick = Latency { quote: BRIEF, charge: BRIEF, ..Latency::default() };
    let app = orders::routes(&lifecycle, quick).await.expect("it starts");
    let plenty = Request::put("/stock/tea").header("content-type", "application/json");
    let plenty = plenty.body(format!(r#"{{"quantity":{PLENTY}}}"#)).expect("a sound request");
    assert_eq!(ask(&app, plenty).await.0, StatusCode::OK);
    app
}

async fn ask(app: &Router, request: Request<String>) -> (StatusCode, Value) {
    let Ok(answer) = app.clone().oneshot(request.map(Body::from)).await;
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1024 * 1024).await.expect("it is all here");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn get(app: &Router, path: &str) -> Value {
    ask(app, Request::get(path).body(String::new()).expect("a sound request")).await.1
}

fn post(path: &str, key: &str) -> Request<String> {
    Request::post(path)
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(r#"{"sku":"tea","quantity":1}"#.to_owned())
        .expect("a sound request")
}

async fn tea(app: &Router) -> usize {
    let tea = get(app, "/stock/tea").await["quantity"].as_u64().expect("there is tea");
    usize::try_from(tea).expect("not that much")
}

/// Returns whether the row must exist: its write had begun, or was not cut.
fn is_kept(cut: &DisconnectRun) -> bool {
    cut.is_begun() || !cut.was_cut()
}

#[tokio::test]
async fn an_order_is_charged_and_stored_or_neither() {
    let app = shop().await;
    let (mut sent, mut kept) = (0, 0);
    let request = || {
        sent += 1;
        post("/orders", &format!("order-{sent}"))
    };
    let summary = disconnect_at_every_await(app.clone(), request, async |cut| {
        kept += usize::from(is_kept(&cut));
        let stored = get(&app, "/orders?sku=tea").await.as_array().map(Vec::len);
        assert_eq!(stored, Some(kept), "each order that has begun, and no other");
        assert_eq!(tea(&app).await, PLENTY - kept);
        assert_eq!(cut.report().durable.completed, u64::from(is_kept(&cut)));
    })
    .await;
    assert!(summary.begun() > 0 && summary.begun() < summary.cut(), "{summary}");
}

#[tokio::test]
async fn a_hold_whose_client_left_is_put_back() {
    let app = shop().await;
    let mut held = 0;
    let summary = disconnect_at_every_await(app.clone(), post("/holds", "hold"), async |cut| {
        held += usize::from(!cut.was_cut());
        assert_eq!(tea(&app).await, PLENTY - held, "nothing is put aside for a client that left");
    })
    .await;
    assert!(summary.cut() >= 4 && summary.begun() == 0, "{summary}");
}
