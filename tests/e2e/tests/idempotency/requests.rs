//! Requests of other kinds: optional keys, routers of plain axum, statements that several futures enter.

use std::sync::atomic::Ordering::SeqCst;

use axum::{Router, extract::State, routing::post};
use followthrough::{
    Governed, Idempotency, IdempotencyKey, Scope, cancellable, compensate, durable_write,
    idempotency::MemoryStore, policy::Write, report::CancelledRequests,
};
use followthrough_tests::{Leaving, Log, Server, h1, h2c, lifecycle, soon};
use futures_util::{StreamExt as _, stream::FuturesUnordered};

use crate::shop::{Shop, app, ask, is_replayed, keyed, send, serve, with_head};

#[tokio::test]
async fn an_optional_key_is_used_when_it_is_there() {
    let shop = Shop::default();
    let (server, store) = serve(&shop).await;
    let path = "/pay-perhaps";
    for run in 1..3 {
        let answer = with_head(server.at, path, "", "").await.answer().await;
        assert_eq!(answer.body, format!("order {run} with None"));
    }
    assert!(store.is_empty());
    for _ in 0..2 {
        // The key is the same in quotes and without them.
        let bare = with_head(server.at, path, "idempotency-key: k\r\n", "").await.answer().await;
        assert_eq!(bare.body, "order 3 with Some(IdempotencyKey(\"k\"))");
        assert_eq!(ask(server.at, path, "k", "").await.body, bare.body);
    }
    let malformed = with_head(server.at, path, "idempotency-key: a b\r\n", "").await.answer().await;
    assert_eq!(malformed.status, 400);
}

#[durable_write(idempotency_key = "required")]
async fn with_parameter(State(shop): State<Shop>, key: IdempotencyKey) -> String {
    let run = shop.runs.fetch_add(1, SeqCst) + 1;
    format!("order {run}, {}", key.derive("charge"))
}

#[durable_write(idempotency_key = "required")]
async fn without_parameter(State(shop): State<Shop>) -> String {
    format!("order {}", shop.runs.fetch_add(1, SeqCst) + 1)
}

fn plain(shop: &Shop) -> Router {
    Router::new()
        .route("/with", post(with_parameter))
        .route("/without", post(without_parameter))
        .with_state(shop.clone())
}

#[tokio::test]
async fn a_router_of_plain_axum_takes_keyed_handlers() {
    let log = Log::capture();
    let shop = Shop::default();
    let by_user = Scope::by(|parts| parts.headers.get("user")?.to_str().ok().map(str::to_owned));
    let keys = Idempotency::new(MemoryStore::new(), by_user);
    let server = Server::with(lifecycle().idempotency(keys), plain(&shop)).await;
    let head = |user: &str| format!("idempotency-key: k\r\nuser: {user}\r\n");
    let ann = with_head(server.at, "/with", &head("ann"), "").await.answer().await;
    let again = with_head(server.at, "/with", &head("ann"), "").await.answer().await;
    assert!(is_replayed(&again) && again.body == ann.body);
    let bob = with_head(server.at, "/with", &head("bob"), "").await.answer().await;
    assert!(bob.body.starts_with("order 2, "));
    assert_ne!(ann.body.split(' ').next_back(), bob.body.split(' ').next_back(), "derived keys");
    // Nothing shows the head to the scope here, and a key without its scope could meet another one.
    let unseen = with_head(server.at, "/without", &head("ann"), "").await.answer().await;
    assert_eq!((unseen.status, shop.runs()), (500, 2));
    assert_eq!(log.with("take `IdempotencyKey` as a parameter").len(), 1);

    let global = Server::with(keyed(&MemoryStore::new()), plain(&shop)).await;
    assert_eq!(ask(global.at, "/without", "k", "").await.body, "order 3");
    assert!(is_replayed(&ask(global.at, "/without", "k", "").await));
}

#[tokio::test]
async fn a_direct_call_keeps_no_record() {
    let shop = Shop::default();
    let called: Governed<String, Write> = without_parameter(State(shop.clone())).await;
    assert_eq!(called.into_result().expect("nothing ends it"), "order 1");
    let key = IdempotencyKey::new("k").expect("it is valid");
    let called = with_parameter(State(shop.clone()), key.clone()).await.into_result();
    let expected = format!("order 2, {}", key.derive("charge"));
    assert_eq!(called.expect("nothing ends it"), expected);
    assert!(IdempotencyKey::new("").is_err() && IdempotencyKey::new("a\n").is_err());
}

#[tokio::test]
async fn a_retry_over_http2_joins_a_write_that_came_over_http1() {
    let shop = Shop::default();
    let (server, _) = serve(&shop).await;
    let left = send(server.at, "/pay", "k", "").await;
    shop.begun(1).await;
    drop(left.leave(Leaving::Close).await);
    let mut client = h2c::connect(server.at).await;
    let mut retry = client.begin_with("POST", "/pay", ("idempotency-key", "\"k\"")).await;
    retry.finish(http::HeaderMap::new());
    shop.go(1);
    let answer = retry.answer().await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (201, "order 1 of "));
    assert_eq!(shop.runs(), 1);
}

#[cancellable(read, idempotency_key = "required")]
async fn several_statements(State(shop): State<Shop>, key: IdempotencyKey) -> String {
    let one = |n: u32| {
        let shop = shop.clone();
        async move { insert(shop, n).await.into_result() }
    };
    let all: FuturesUnordered<_> = (0..3).map(one).collect();
    let all: Vec<_> = all.collect().await;
    #[durable_write]
    shop.marks.set(format!("mailed {key}"));
    format!("{} inserted", all.into_iter().flatten().count())
}

#[durable_write(internal)]
async fn insert(shop: Shop, n: u32) {
    shop.runs.fetch_add(1, SeqCst);
    shop.marks.set(format!("inserted {n}"));
    tokio::task::yield_now().await;
}

#[cancellable(read, idempotency_key = "required")]
async fn reserved(State(shop): State<Shop>, key: IdempotencyKey, body: String) -> String {
    let undo = shop.clone();
    let name = body.clone();
    let guard = compensate(async move { undo.marks.set(format!("released by {name}")) });
    shop.marks.set(format!("reserved by {body} for {key}"));
    shop.marks.until(&format!("continue {body}")).await;
    #[durable_write]
    let run = {
        let run = shop.runs.fetch_add(1, SeqCst) + 1;
        shop.marks.set(format!("begun {run}"));
        shop.marks.until(&format!("go {run}")).await;
        run
    };
    guard.disarm();
    format!("order {run}")
}

#[durable_write(idempotency_key = "required", deadline = "200ms")]
async fn cut_after_its_write(State(shop): State<Shop>) -> String {
    let run = shop.runs.fetch_add(1, SeqCst) + 1;
    #[cancellable(read)]
    shop.marks.until("never").await;
    format!("order {run}")
}

fn others(shop: &Shop) -> Router {
    followthrough::Router::new()
        .route("/several", followthrough::routing::post(several_statements))
        .route("/reserved", followthrough::routing::post(reserved))
        .route("/cut", followthrough::routing::post(cut_after_its_write))
        .with_state(shop.clone())
        .into_axum()
}

#[tokio::test]
async fn statements_of_one_handler_share_its_claim() {
    let shop = Shop::default();
    let server = Server::with(keyed(&MemoryStore::new()), others(&shop)).await;
    for _ in 0..2 {
        assert_eq!(ask(server.at, "/several", "k", "").await.body, "3 inserted");
    }
    assert_eq!((shop.runs(), server.lifecycle.counts().idempotency.claimed), (3, 1));
}

#[tokio::test]
async fn a_request_that_loses_its_claim_is_undone_and_gets_the_answer_of_the_other() {
    let shop = Shop::default();
    let server = Server::with(keyed(&MemoryStore::new()), others(&shop)).await;
    // Both pass the look into the store, and one of them claims.
    let mut first = send(server.at, "/reserved", "k", "same").await;
    shop.marks.until("reserved by same for k").await;
    let mut second = send(server.at, "/reserved", "k", "same").await;
    soon("the second reservation", async {
        while shop.marks.all().iter().filter(|mark| mark.starts_with("reserved")).count() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    shop.marks.set("continue same");
    shop.marks.until("begun 1").await;
    shop.marks.until("released by same").await;
    shop.marks.set("go 1");
    let answers = [first.answer().await, second.answer().await];
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == "order 1"));
    assert_eq!(answers.iter().filter(|answer| is_replayed(answer)).count(), 1);
    assert_eq!(shop.runs(), 1);
    let counts = server.lifecycle.counts();
    assert_eq!((counts.durable.begun, counts.compensations.run), (1, 1));
    assert_eq!(
        counts.cancelled,
        CancelledRequests::default(),
        "a lost claim is no cancelled request"
    );
}

#[tokio::test]
async fn a_write_that_is_cut_where_it_allows_it_has_an_answer_for_its_retries() {
    let shop = Shop::default();
    let server = Server::with(keyed(&MemoryStore::new()), others(&shop)).await;
    let cut = ask(server.at, "/cut", "k", "").await;
    assert_eq!(cut.status, 504);
    assert!(cut.body.contains("\"outcome\":\"completed\""));
    let retry = ask(server.at, "/cut", "k", "").await;
    assert_eq!((retry.status, &retry.body, shop.runs()), (504, &cut.body, 1));
}

#[tokio::test]
async fn a_hundred_clients_with_one_key_get_one_answer() {
    let shop = Shop::default();
    let (server, store) = serve(&shop).await;
    let at = server.at;
    let clients = (0..100).map(|_| {
        tokio::spawn(async move {
            loop {
                let answer: h1::Answer = ask(at, "/pay", "k", "tea").await;
                // At most 16 wait. The others are told to try again.
                if answer.status != 409 {
                    return answer;
                }
                assert_eq!(answer.header("retry-after"), Some("1"));
                tokio::task::yield_now().await;
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    shop.begun(1).await;
    shop.go(1);
    for client in clients {
        let answer = client.await.expect("no client panics");
        assert_eq!((answer.status, &*answer.body), (201, "order 1 of tea"));
    }
    assert_eq!((shop.runs(), store.len()), (1, 1));
}

#[tokio::test]
async fn the_layer_alone_keeps_records_as_well() {
    let (shop, store) = (Shop::default(), MemoryStore::new());
    let lifecycle = keyed(&store).build().expect("it has a store");
    let app = app(&shop).layer(lifecycle.layer());
    let request = || {
        let request = http::Request::post("/pay").header("idempotency-key", "k");
        request.body(axum::body::Body::from("tea")).expect("it is valid")
    };
    shop.go(1);
    for replayed in [false, true] {
        let answer = tower::ServiceExt::oneshot(app.clone(), request()).await;
        let answer = answer.expect("a router does not fail");
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers().contains_key("idempotency-replayed"), replayed);
    }
    assert_eq!(shop.runs(), 1);
}
