//! The laws of records that outlast their request: K8 to K12.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use followthrough::{
    Idempotency, Outcome, Scope,
    idempotency::{MemoryStore, Store},
};
use followthrough_tests::{Log, Server, lifecycle, soon};

use crate::shop::{Shop, app, ask, is_replayed, keyed, keys, send, serve, with_head};

/// Starts a write, and ends its process with the write abandoned.
async fn begin_and_die(shop: &Shop, store: &MemoryStore, path: &'static str) {
    let short = keyed(store).grace(Duration::from_millis(100));
    let server = Server::with(short, app(shop)).await;
    let before = shop.runs();
    let client = send(server.at, path, "k", "tea").await;
    shop.begun(before + 1).await;
    let report = server.stop().await;
    assert_eq!(report.durable.abandoned, 1);
    drop(client);
}

#[tokio::test]
async fn law_k8_a_write_whose_process_died_is_unknown() {
    let (shop, store) = (Shop::default(), MemoryStore::new());
    begin_and_die(&shop, &store, "/pay").await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = seen.clone();
    let hook = keys(&store).on_unknown(move |write| {
        told.lock().expect("no hook panics").push((write.id.key.clone(), write.handler.clone()));
    });
    let server = Server::with(lifecycle().idempotency(hook), app(&shop)).await;
    for _ in 0..2 {
        let unknown = ask(server.at, "/pay", "k", "tea").await;
        assert_eq!((unknown.status, unknown.header("retry-after")), (409, None));
        assert!(unknown.body.contains("\"outcome\":\"unknown\""));
    }
    assert_eq!(shop.runs(), 1);
    assert_eq!(server.lifecycle.counts().idempotency.unknown, 2);
    let seen = seen.lock().expect("no hook panics").clone();
    assert_eq!(seen, vec![("k".to_owned(), "idempotency::shop::pay".to_owned()); 2]);
}

#[tokio::test]
async fn law_k8_a_write_whose_process_died_runs_again_where_the_attribute_says_so() {
    let (shop, store) = (Shop::default(), MemoryStore::new());
    begin_and_die(&shop, &store, "/pay-again").await;
    let server = Server::with(keyed(&store), app(&shop)).await;
    shop.go(2);
    let again = ask(server.at, "/pay-again", "k", "tea").await;
    assert_eq!((again.status, &*again.body), (200, "order 2"));
    assert!(is_replayed(&ask(server.at, "/pay-again", "k", "tea").await));
}

#[tokio::test]
async fn law_k9_a_claim_that_is_lost_stores_nothing() {
    let log = Log::capture();
    let (shop, store) = (Shop::default(), MemoryStore::new());
    let paused = Server::with(keyed(&store), app(&shop)).await;
    let mut first = send(paused.at, "/pay-again", "k", "tea").await;
    shop.begun(1).await;
    // The heartbeat of the first process is gone, as if it had been stopped for a minute.
    for owner in store.beat("test").await.expect("memory does not fail") {
        store.retire(&owner.owner).await.expect("memory does not fail");
    }
    let other = Server::with(keyed(&store), app(&shop)).await;
    shop.go(2);
    assert_eq!(ask(other.at, "/pay-again", "k", "tea").await.body, "order 2");
    shop.go(1);
    let lost = first.answer().await;
    assert_eq!((lost.status, lost.header("retry-after")), (409, Some("1")));
    assert_eq!(log.with("another process has claimed the idempotency key").len(), 1);
    assert_eq!(ask(paused.at, "/pay-again", "k", "tea").await.body, "order 2");
}

#[tokio::test]
async fn law_k10_a_deadline_may_invite_a_retry() {
    let shop = Shop::default();
    let (server, _) = serve(&shop).await;
    let late = ask(server.at, "/pay-slowly", "k", "tea").await;
    assert_eq!((late.status, late.header("retry-after")), (504, Some("1")));
    assert!(late.body.contains("\"outcome\":\"unknown\""));
    assert!(late.body.contains("repeat the request with the same"), "{}", late.body);
    // A retry that joins has a deadline of its own.
    let joined = ask(server.at, "/pay-slowly", "k", "tea").await;
    assert_eq!((joined.status, joined.header("retry-after")), (504, Some("1")));
    assert!(joined.body.contains(Outcome::Unknown.as_str()), "{}", joined.body);
    shop.go(1);
    let replay = ask(server.at, "/pay-slowly", "k", "tea").await;
    assert_eq!((replay.status, &*replay.body, shop.runs()), (200, "order 1", 1));
}

#[tokio::test]
async fn law_k11_the_drain_waits_for_the_finish_and_a_joiner_gets_503() {
    let (shop, store) = (Shop::default(), MemoryStore::new());
    let server = Server::with(keyed(&store), app(&shop)).await;
    let mut first = send(server.at, "/pay", "k", "tea").await;
    shop.begun(1).await;
    let mut joiner = send(server.at, "/pay", "k", "tea").await;
    soon("the joiner", async {
        while server.lifecycle.in_flight().requests < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.lifecycle.shutdown();
    let refused = joiner.answer().await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    shop.go(1);
    assert_eq!(first.answer().await.status, 201);
    let report = server.ended().await;
    assert_eq!((report.durable.completed, report.abandoned.len()), (1, 0));
    assert!(report.to_string().contains("idempotency keys: 1 claimed"), "{report}");
    let next = Server::with(keyed(&store), app(&shop)).await;
    assert!(is_replayed(&ask(next.at, "/pay", "k", "tea").await));
}

#[tokio::test]
async fn law_k12_a_begun_record_never_expires() {
    let shop = Shop::default();
    let (server, store) = serve(&shop).await;
    let mut first = send(server.at, "/pay-briefly", "k", "").await;
    shop.begun(1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(store.expire(100).await, Ok(0));
    let other = Server::with(keyed(&store), app(&shop)).await;
    assert_eq!(ask(other.at, "/pay-briefly", "k", "").await.status, 409);
    shop.go(1);
    assert_eq!(first.answer().await.body, "order 1");
    tokio::time::sleep(Duration::from_millis(20)).await;
    shop.go(2);
    assert_eq!(ask(server.at, "/pay-briefly", "k", "").await.body, "order 2", "its time is over");
}

#[tokio::test]
async fn law_k12_keys_of_two_principals_never_meet() {
    let (shop, store) = (Shop::default(), MemoryStore::new());
    let by_user = Scope::by(|parts| parts.headers.get("user")?.to_str().ok().map(str::to_owned));
    let keys = Idempotency::new(store.clone(), by_user);
    let server = Server::with(lifecycle().idempotency(keys), app(&shop)).await;
    shop.go(1);
    shop.go(2);
    let of = |user: &str| format!("idempotency-key: k\r\nuser: {user}\r\n");
    for path in ["/pay", "/order"] {
        let before = shop.runs();
        shop.go(before + 1);
        shop.go(before + 2);
        for (run, user) in [(before + 1, format!("ann{path}")), (before + 2, format!("bob{path}"))]
        {
            for _ in 0..2 {
                let answer = with_head(server.at, path, &of(&user), "tea").await.answer().await;
                assert_eq!(answer.body, format!("order {run} of tea"), "{user}");
            }
        }
        let nobody = with_head(server.at, path, "idempotency-key: k\r\n", "tea").await;
        let mut nobody = nobody;
        assert_eq!(nobody.answer().await.status, 400, "{path} without a user");
    }
}
