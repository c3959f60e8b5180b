//! Faults around a claim: statements that are dropped, stores that answer too late, attempts that are repeated.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::post,
};
use followthrough::{
    Cancelled, IdempotencyKey, cancellable, durable_write, idempotency::MemoryStore,
};
use followthrough_tests::{Leaving, Log, Server, soon};
use futures_util::future::join_all;
use http::StatusCode;

use crate::{
    shop::{Flaky, Shop, ask, is_replayed, keyed, send},
    stores::Slow,
};

/// Begins nothing of its own, and writes in a handler with a limit.
#[cancellable(read, idempotency_key = "required")]
async fn by_limited_callee(
    State(shop): State<Shop>,
    key: IdempotencyKey,
) -> Result<String, Cancelled> {
    let run = limited(shop.clone()).await.into_result()?;
    #[durable_write]
    shop.marks.set(format!("mailed {key}"));
    Ok(format!("order {run}"))
}

#[durable_write(internal, max_in_flight = 1)]
async fn limited(shop: Shop) -> u32 {
    let run = shop.runs.fetch_add(1, SeqCst) + 1;
    tokio::task::yield_now().await;
    run
}

/// Gives up on its write while the key is being claimed.
#[cancellable(read, idempotency_key = "required")]
async fn impatient(State(shop): State<Shop>, key: IdempotencyKey, body: String) -> String {
    if body == "patient" {
        return format!("order {}", limited(shop.clone()).await.into_result().unwrap_or(0));
    }
    let limit = Duration::from_millis(20);
    let called = tokio::time::timeout(limit, limited(shop.clone())).await;
    if called.is_err() {
        return "gave up".to_owned();
    }
    #[durable_write]
    shop.marks.set(format!("mailed {key}"));
    "ordered".to_owned()
}

/// Asks for the stored form of its answer before its point of no return.
#[cancellable(read, idempotency_key = "required")]
async fn finishes_too_early(State(shop): State<Shop>, key: IdempotencyKey) -> String {
    let early = key.prepare(&"answer").await.map(|prepared| prepared.is_some());
    #[durable_write]
    let late = key.prepare(&"answer").await.map(|prepared| prepared.is_some());
    shop.runs.fetch_add(1, SeqCst);
    format!("{} {late:?}", early.is_err())
}

/// Writes in a durable statement of a handler that it calls.
#[cancellable(read, idempotency_key = "required")]
async fn by_site_of_callee(
    State(shop): State<Shop>,
    key: IdempotencyKey,
) -> Result<String, Cancelled> {
    shop.marks.set(format!("looked for {key}"));
    shop.marks.until("go on").await;
    let run = reads_and_writes(shop.clone()).await.into_result()?;
    #[durable_write]
    shop.marks.set(format!("mailed {key}"));
    Ok(format!("order {run}"))
}

#[cancellable(read, internal)]
async fn reads_and_writes(shop: Shop) -> u32 {
    tokio::task::yield_now().await;
    #[durable_write]
    let run = {
        let run = shop.runs.fetch_add(1, SeqCst) + 1;
        tokio::task::yield_now().await;
        run
    };
    run
}

/// Answers 503 before its point of no return, once.
#[cancellable(read, idempotency_key = "required")]
async fn busy_once(State(shop): State<Shop>) -> Result<String, StatusCode> {
    if !shop.marks.has("was busy") {
        shop.marks.set("was busy");
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    #[durable_write]
    let run = {
        let run = shop.runs.fetch_add(1, SeqCst) + 1;
        shop.marks.set("begun");
        shop.marks.until("go").await;
        run
    };
    Ok(format!("order {run}"))
}

struct PanicsAsResponse;

impl IntoResponse for PanicsAsResponse {
    fn into_response(self) -> Response {
        panic!("no response")
    }
}

#[durable_write(idempotency_key = "required")]
async fn panics_as_response(State(shop): State<Shop>) -> PanicsAsResponse {
    shop.runs.fetch_add(1, SeqCst);
    PanicsAsResponse
}

#[durable_write(idempotency_key = "required")]
async fn pay(State(shop): State<Shop>) -> String {
    format!("order {}", shop.runs.fetch_add(1, SeqCst) + 1)
}

fn app(shop: &Shop) -> Router {
    Router::new()
        .route("/limited", post(by_limited_callee))
        .route("/impatient", post(impatient))
        .route("/early", post(finishes_too_early))
        .route("/panics", post(panics_as_response))
        .route("/pay", post(pay))
        .route("/site-of-callee", post(by_site_of_callee))
        .route("/busy-once", post(busy_once))
        .with_state(shop.clone())
}

#[tokio::test]
async fn a_callee_with_a_limit_writes_under_the_key_of_its_caller() {
    let shop = Shop::default();
    let server = Server::with(keyed(&MemoryStore::new()), app(&shop)).await;
    assert_eq!(ask(server.at, "/limited", "one", "").await.body, "order 1");
    // At the limit of the callee, the key of the caller is not spent.
    let keys: Vec<_> = (0..8).map(|n| format!("k{n}")).collect();
    for _ in 0..2 {
        let all = keys.iter().map(|key| async {
            loop {
                let answer = ask(server.at, "/limited", key, "").await;
                if answer.status == 200 {
                    return answer.body;
                }
                assert_eq!(answer.status, 503, "{}", answer.body);
            }
        });
        let mut bodies = soon("all answers", join_all(all)).await;
        bodies.sort();
        let expected: Vec<_> = (2..10).map(|run| format!("order {run}")).collect();
        assert_eq!(bodies, expected);
    }
    assert_eq!(shop.runs(), 9);
}

#[tokio::test]
async fn a_claim_that_its_statement_gave_up_is_removed() {
    let (shop, store) = (Shop::default(), Slow::default());
    let server = Server::with(keyed(&store), app(&shop)).await;
    assert_eq!(ask(server.at, "/impatient", "k", "").await.body, "gave up");
    assert_eq!((shop.runs(), store.store.len()), (0, 1), "the claim has landed");
    store.marks.set("answers");
    store.marks.until("released").await;
    soon("the retry", async {
        while ask(server.at, "/impatient", "k", "patient").await.body != "order 1" {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_landed_although_the_store_failed_is_removed() {
    let (shop, store) = (Shop::default(), Slow::default());
    store.fails.store(true, SeqCst);
    store.marks.set("answers");
    let server = Server::with(keyed(&store), app(&shop)).await;
    let failed = ask(server.at, "/pay", "k", "").await;
    assert_eq!((failed.status, failed.header("retry-after")), (503, Some("1")));
    store.marks.until("released").await;
    store.fails.store(false, SeqCst);
    soon("the retry", async {
        while ask(server.at, "/pay", "k", "").await.body != "order 1" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(shop.runs(), 1);
}

/// Calls the handler again if it answered 503.
async fn again(State(store): State<Flaky>, request: Request, next: Next) -> Response {
    let (parts, _) = request.into_parts();
    let repeated = Request::from_parts(parts.clone(), axum::body::Body::empty());
    let first = next.clone().run(Request::from_parts(parts, axum::body::Body::empty())).await;
    if first.status() != StatusCode::SERVICE_UNAVAILABLE {
        return first;
    }
    store.is_down.store(false, SeqCst);
    next.run(repeated).await
}

#[tokio::test]
async fn a_second_attempt_of_middleware_claims_the_key_again() {
    let (shop, store) = (Shop::default(), Flaky::default());
    store.is_down.store(true, SeqCst);
    let app = app(&shop).layer(from_fn_with_state(store.clone(), again));
    let server = Server::with(keyed(&store), app).await;
    for path in ["/pay", "/limited"] {
        store.is_down.store(true, SeqCst);
        let before = shop.runs();
        let answer = ask(server.at, path, path, "").await;
        assert_eq!((answer.status, shop.runs()), (200, before + 1), "{path}: {}", answer.body);
        assert!(is_replayed(&ask(server.at, path, path, "").await), "{path}");
    }
}

#[tokio::test]
async fn a_second_attempt_whose_client_leaves_stores_its_own_answer() {
    let (shop, store) = (Shop::default(), Flaky::default());
    let app = app(&shop).layer(from_fn_with_state(store.clone(), again));
    let server = Server::with(keyed(&store), app).await;
    let client = send(server.at, "/busy-once", "k", "").await;
    shop.marks.until("begun").await;
    drop(client.leave(Leaving::Reset).await);
    let retry = tokio::spawn(async move { ask(server.at, "/busy-once", "k", "").await });
    shop.marks.set("go");
    let answer = retry.await.expect("the client reads");
    assert_eq!((answer.status, &*answer.body, shop.runs()), (200, "order 1", 1));
}

/// Calls the handler twice at once, and returns the first answer.
async fn twice(request: Request, next: Next) -> Response {
    let (parts, _) = request.into_parts();
    let empty = axum::body::Body::empty;
    let [first, second] = [parts.clone(), parts].map(|parts| Request::from_parts(parts, empty()));
    let (first, second) = tokio::join!(next.clone().run(first), next.run(second));
    assert_eq!(second.status(), first.status());
    first
}

#[tokio::test]
async fn two_runners_of_one_request_write_once() {
    let shop = Shop::default();
    shop.marks.set("go on");
    shop.marks.set("was busy");
    shop.marks.set("go");
    let app = app(&shop).layer(axum::middleware::from_fn(twice));
    let server = Server::with(keyed(&MemoryStore::new()), app).await;
    for (run, path) in ["/pay", "/site-of-callee", "/busy-once", "/limited"].iter().enumerate() {
        let answer = ask(server.at, path, path, "").await;
        assert_eq!((answer.status, &*answer.body), (200, &*format!("order {}", run + 1)), "{path}");
    }
    assert_eq!(shop.runs(), 4);
}

#[tokio::test]
async fn a_callee_whose_caller_loses_its_claim_does_not_write() {
    let (shop, store) = (Shop::default(), Flaky::default());
    let server = Server::with(keyed(&store), app(&shop)).await;
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(send(server.at, "/site-of-callee", "k", "").await);
    }
    soon("three looks", async {
        while shop.marks.all().iter().filter(|mark| mark.starts_with("looked")).count() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    shop.marks.set("go on");
    for call in &mut calls {
        assert_eq!(call.answer().await.body, "order 1");
    }
    assert_eq!(shop.runs(), 1);
    let counts = server.lifecycle.counts().durable;
    assert_eq!((counts.begun, counts.followed_through), (1, 0));

    // A store that fails at the claim refuses the callee as well.
    let fails = Slow::default();
    fails.fails.store(true, SeqCst);
    fails.marks.set("answers");
    let server = Server::with(keyed(&fails), app(&shop)).await;
    let refused = ask(server.at, "/site-of-callee", "l", "").await;
    assert_eq!((refused.status, shop.runs()), (503, 1), "{}", refused.body);
    assert_eq!(server.lifecycle.counts().durable.begun, 0);
}

#[tokio::test]
async fn an_answer_for_a_transaction_needs_the_claim() {
    let shop = Shop::default();
    let server = Server::with(keyed(&MemoryStore::new()), app(&shop)).await;
    assert_eq!(ask(server.at, "/early", "k", "").await.body, "true Ok(true)");
}

#[tokio::test]
async fn a_panic_of_the_response_is_stored() {
    let log = Log::capture();
    let shop = Shop::default();
    let server = Server::with(keyed(&MemoryStore::new()), app(&shop)).await;
    assert_eq!(send(server.at, "/panics", "k", "").await.rest().await, "");
    let again = ask(server.at, "/panics", "k", "").await;
    assert_eq!((again.status, shop.runs()), (500, 1));
    assert!(again.body.contains("\"outcome\":\"unknown\""), "{}", again.body);
    assert!(!log.with("no response").is_empty());
}
