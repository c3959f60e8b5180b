//! Orders whose clients leave and send them again, with one key: one charge, one order, equal answers.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use followthrough::Idempotency;
use followthrough::testing::{TestLifecycle, disconnect_at_every_await};
use orders::{Latency, Provider};
use serde_json::Value;
use tower::ServiceExt;

const BRIEF: Duration = Duration::from_millis(2);

/// An answer, and whether it came from the store of the keys.
type Answer = (StatusCode, Value, bool);

fn lifecycle(keys: Idempotency) -> TestLifecycle {
    TestLifecycle::with(|builder| builder.idempotency(keys))
}

/// Returns the service, with enough tea, and the books of its payment provider, which takes this long for a charge.
async fn shop(charge: Duration) -> (followthrough::Router, Provider) {
    let latency = Latency { quote: BRIEF, charge, ..Latency::default() };
    let lifecycle = lifecycle(orders::keys());
    let (app, provider) = orders::shop(lifecycle.lifecycle(), latency).await.expect("it starts");
    let plenty = Request::put("/stock/tea").header("content-type", "application/json");
    let plenty = plenty.body(r#"{"quantity":100000}"#.to_owned()).expect("a sound request");
    assert_eq!(ask(served(&app, &lifecycle), plenty).await.0, StatusCode::OK);
    (app, provider)
}

/// Returns the service as a process serves it.
fn served(app: &followthrough::Router, lifecycle: &TestLifecycle) -> Router {
    app.clone().into_axum().layer(lifecycle.layer())
}

async fn ask(app: Router, request: Request<String>) -> Answer {
    let Ok(answer) = app.oneshot(request.map(Body::from)).await;
    let (status, replayed) = (answer.status(), answer.headers().get("idempotency-replayed"));
    let replayed = replayed.is_some_and(|mark| mark == "true");
    let body = to_bytes(answer.into_body(), 1024 * 1024).await.expect("it is all here");
    (status, serde_json::from_slice(&body).unwrap_or_default(), replayed)
}

fn order(key: &str) -> Request<String> {
    Request::post("/orders")
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(r#"{"sku":"tea","quantity":1}"#.to_owned())
        .expect("a sound request")
}

/// Returns the number of orders.
async fn orders_of_tea(app: &Router) -> Option<usize> {
    let list = Request::get("/orders?sku=tea").body(String::new()).expect("a sound request");
    ask(app.clone(), list).await.1.as_array().map(Vec::len)
}

async fn until(so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("it comes");
}

#[tokio::test]
async fn a_retry_after_a_disconnect_at_any_await_gets_the_one_answer() {
    let (app, provider) = shop(BRIEF).await;
    let looks = lifecycle(orders::keys());
    let looks = served(&app, &looks);
    let mut runs = 0;
    // Each run has a key of its own, and the client sends its request again after it has left.
    let summary = disconnect_at_every_await(app.clone(), order("order"), async |run| {
        runs += 1;
        let retry = run.retry().expect("each run has a retry");
        assert_eq!(retry.status(), StatusCode::CREATED, "{run}");
        assert_eq!(orders_of_tea(&looks).await, Some(runs), "one order for each key");
        assert_eq!(provider.totals(), (runs, 0), "one charge for each key");
    });
    let summary = summary.then_retry().await;
    assert!(summary.begun() > 0 && summary.begun() < summary.cut(), "{summary}");
}

#[tokio::test]
async fn a_retry_joins_the_order_that_is_under_way() {
    let (app, provider) = shop(Duration::from_millis(300)).await;
    let lifecycle = lifecycle(orders::keys());
    let app = served(&app, &lifecycle);
    let leaves = tokio::spawn(ask(app.clone(), order("1")));
    until(|| provider.totals() == (1, 0)).await;
    leaves.abort();
    assert!(leaves.await.is_err_and(|error| error.is_cancelled()), "its client has left");

    let (status, placed, _) = ask(app.clone(), order("1")).await;
    assert_eq!((status, &placed["id"]), (StatusCode::CREATED, &1.into()), "{placed}");
    let counts = lifecycle.lifecycle().counts();
    assert_eq!((counts.idempotency.claimed, counts.idempotency.joined), (1, 1));
    assert_eq!((provider.totals(), orders_of_tea(&app).await), ((1, 0), Some(1)));
    assert_eq!(counts.durable.begun, 1);
}

#[tokio::test]
async fn a_retry_whose_record_is_gone_meets_its_charge_and_its_order() {
    let (app, provider) = shop(BRIEF).await;
    let [before, after] = [lifecycle(orders::keys()), lifecycle(orders::keys())];
    let first = ask(served(&app, &before), order("1")).await;
    assert_eq!(first.0, StatusCode::CREATED, "{}", first.1);
    let restarted = served(&app, &after);
    assert_eq!(ask(restarted.clone(), order("1")).await, first);
    assert_eq!((provider.totals(), orders_of_tea(&restarted).await), ((1, 0), Some(1)));

    let mut other = order("1");
    *other.body_mut() = r#"{"sku":"tea","quantity":2}"#.to_owned();
    assert_eq!(ask(restarted, other).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}
