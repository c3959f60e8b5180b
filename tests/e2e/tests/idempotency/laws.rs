//! The laws of one request and its retries: K1 to K7.

use std::sync::atomic::Ordering::SeqCst;

use followthrough::idempotency::MemoryStore;
use followthrough_tests::{Leaving, Log, Server, h1, lifecycle, soon};
use futures_util::future::join_all;

use crate::shop::{Flaky, Shop, app, ask, is_replayed, keyed, keys, send, serve, with_head};

#[tokio::test]
async fn law_k1_one_body_is_past_its_point_of_no_return() {
    let shop = Shop::default();
    let (server, store) = serve(&shop).await;
    let calls = (0..12).map(|_| ask(server.at, "/pay", "k", "tea"));
    let all = tokio::spawn(join_all(calls));
    shop.begun(1).await;
    // Another process on the same store.
    let other = Server::with(keyed(&store), app(&shop)).await;
    let elsewhere = ask(other.at, "/pay", "k", "tea").await;
    assert_eq!((elsewhere.status, elsewhere.header("retry-after")), (409, Some("1")));
    shop.go(1);
    let answers = all.await.expect("no client panics");
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == "order 1 of tea"));
    assert_eq!(shop.runs(), 1);
    assert_eq!(server.lifecycle.counts().durable.begun, 1);
    let replayed = ask(other.at, "/pay", "k", "tea").await;
    assert_eq!((replayed.status, replayed.body.as_str()), (201, "order 1 of tea"));
}

#[tokio::test]
async fn law_k2_a_request_that_ends_before_its_point_of_no_return_leaves_no_record() {
    let shop = Shop::default();
    let (server, store) = serve(&shop).await;
    let refused = ask(server.at, "/order", "k", "sold out").await;
    assert_eq!((refused.status, store.len()), (409, 0));
    let left = send(server.at, "/order", "l", "slow").await;
    shop.marks.until("stock of l").await;
    drop(left.leave(Leaving::Reset).await);
    soon("the end of the read", async {
        while server.lifecycle.counts().cancelled.client_disconnected == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(store.is_empty());
    shop.go(1);
    // The key is not spent, so another body may come with it.
    assert_eq!(ask(server.at, "/order", "k", "tea").await.body, "order 1 of tea");
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn law_k3_signals_come_before_the_permit_and_the_permit_before_the_claim() {
    let shop = Shop::default();
    let store = MemoryStore::new();
    let server = Server::with(keyed(&store).max_durable_writes(1), app(&shop)).await;
    let first = tokio::spawn(async move { ask(server.at, "/pay", "first", "tea").await });
    shop.begun(1).await;
    let refused = ask(server.at, "/pay", "second", "tea").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert!(refused.body.contains("\"cause\":\"limit_reached\",\"outcome\":\"not_begun\""));
    assert_eq!(store.len(), 1, "a refused write claims nothing");
    shop.go(1);
    assert_eq!(first.await.expect("the client reads").status, 201);
}

#[tokio::test]
async fn law_k3_a_signal_refuses_before_the_claim() {
    let (shop, store) = (Shop::default(), Flaky::default());
    let server = Server::with(keyed(&store).max_durable_writes(1), app(&shop)).await;
    let holds = send(server.at, "/pay", "holds", "tea").await;
    shop.begun(1).await;
    // The deadline is read first, so neither the limit nor the store is asked.
    let late = ask(server.at, "/order-late", "k", "").await;
    assert_eq!(late.status, 504);
    assert!(late.body.contains("\"outcome\":\"not_begun\""), "{}", late.body);
    assert_eq!((store.store.len(), shop.marks.has("written for k")), (1, false));
    shop.go(1);
    drop(holds);
}

#[tokio::test]
async fn law_k3_a_store_that_is_down_refuses_the_write_before_it_begins() {
    let log = Log::capture();
    let (shop, store) = (Shop::default(), Flaky::default());
    let server = Server::with(keyed(&store).max_durable_writes(1), app(&shop)).await;
    store.is_down.store(true, SeqCst);
    for path in ["/pay", "/order"] {
        let refused = ask(server.at, path, "k", "tea").await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{path}");
        let cause = "\"cause\":\"key_store_unavailable\",\"outcome\":\"not_begun\"";
        assert!(refused.body.contains(cause), "{path}: {}", refused.body);
    }
    assert!(!log.with("the store of idempotency keys failed").is_empty());
    assert_eq!(server.lifecycle.counts().durable.begun, 0);
    store.is_down.store(false, SeqCst);
    shop.go(1);
    assert_eq!(ask(server.at, "/pay", "k", "tea").await.body, "order 1 of tea");
}

#[tokio::test]
async fn law_k4_the_answer_is_stored_although_its_client_has_left() {
    let shop = Shop::default();
    let (server, _) = serve(&shop).await;
    for (run, path) in ["/pay", "/order", "/order-by-call"].into_iter().enumerate() {
        let run = u32::try_from(run + 1).expect("there are few");
        let left = send(server.at, path, path, "tea").await;
        shop.begun(run).await;
        drop(left.leave(Leaving::Reset).await);
        let retry = tokio::spawn(async move { ask(server.at, path, path, "tea").await });
        shop.go(run);
        let answer = retry.await.expect("the client reads");
        assert!(answer.body.starts_with(&format!("order {run}")), "{path}: {answer:?}");
        assert!(is_replayed(&ask(server.at, path, path, "tea").await), "{path}");
        assert_eq!(shop.runs(), run, "{path}");
    }
}

#[tokio::test]
async fn law_k4_errors_and_panics_are_stored_too() {
    let shop = Shop::default();
    let (server, _) = serve(&shop).await;
    for _ in 0..2 {
        let failed = ask(server.at, "/fail", "f", "").await;
        assert_eq!((failed.status, &*failed.body), (502, "the bank refused order 1"));
    }
    let mut panicked = send(server.at, "/panic", "p", "").await;
    assert_eq!(panicked.rest().await, "", "axum ends the connection at a panic");
    let again = ask(server.at, "/panic", "p", "").await;
    assert_eq!((again.status, shop.runs()), (500, 2));
    assert!(again.body.contains("\"outcome\":\"unknown\"") && is_replayed(&again));
}

#[tokio::test]
async fn law_k4_an_answer_waits_for_a_store_that_comes_back() {
    let (shop, store) = (Shop::default(), Flaky::default());
    let server = Server::with(keyed(&store), app(&shop)).await;
    let log = Log::capture();
    let call = send(server.at, "/pay", "k", "tea").await;
    shop.begun(1).await;
    store.is_down.store(true, SeqCst);
    shop.go(1);
    soon("the failure", async {
        while log.with("the store of idempotency keys failed").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!call.has_begun(), "no answer is sent before it is stored");
    store.is_down.store(false, SeqCst);
    let mut call = call;
    assert_eq!(call.answer().await.status, 201);
    assert!(is_replayed(&ask(server.at, "/pay", "k", "tea").await));
}

#[tokio::test]
async fn law_k5_a_replay_is_the_same_answer_without_a_body_or_a_permit() {
    let shop = Shop::default();
    let store = MemoryStore::new();
    let server = Server::with(keyed(&store).max_durable_writes(1), app(&shop)).await;
    shop.go(1);
    let first = ask(server.at, "/pay", "k", "tea").await;
    assert_eq!((first.status, first.header("set-cookie")), (201, Some("session=1")));
    assert!(!is_replayed(&first));
    let other = send(server.at, "/pay", "other", "tea").await;
    shop.begun(2).await;
    let replay = ask(server.at, "/pay", "k", "tea").await;
    assert_eq!((replay.status, &replay.body), (201, &first.body));
    assert!(is_replayed(&replay), "at the limit of durable work");
    assert_eq!((replay.header("x-note"), replay.header("set-cookie")), (Some("kept"), None));
    assert_eq!(replay.header("content-type"), first.header("content-type"));
    assert_eq!((shop.runs(), server.lifecycle.counts().durable.begun), (2, 2));
    assert_eq!(server.lifecycle.counts().idempotency.replayed, 1);
    shop.go(2);
    drop(other);
}

#[tokio::test]
async fn law_k6_a_retry_joins_without_a_permit_and_its_leaving_changes_nothing() {
    let shop = Shop::default();
    let store = MemoryStore::new();
    let server = Server::with(keyed(&store).max_durable_writes(1), app(&shop)).await;
    let first = tokio::spawn(async move { ask(server.at, "/pay", "k", "tea").await });
    shop.begun(1).await;
    let leaves = send(server.at, "/pay", "k", "tea").await;
    drop(leaves.leave(Leaving::Reset).await);
    let stays = send(server.at, "/pay", "k", "tea").await;
    shop.go(1);
    let (mut stays, first) = (stays, first.await.expect("the client reads"));
    let joined = stays.answer().await;
    assert_eq!((joined.status, &joined.body), (201, &first.body));
    assert_eq!((shop.runs(), server.lifecycle.counts().durable.begun), (1, 1));
}

#[tokio::test]
async fn law_k6_at_most_sixteen_retries_join() {
    let shop = Shop::default();
    let (server, _) = serve(&shop).await;
    let mut first = send(server.at, "/pay", "k", "tea").await;
    shop.begun(1).await;
    let mut joined = Vec::new();
    for _ in 0..17 {
        joined.push(send(server.at, "/pay", "k", "tea").await);
    }
    let refused = soon("the refusal", async {
        while server.lifecycle.counts().idempotency.refused == 0 {
            tokio::task::yield_now().await;
        }
    });
    refused.await;
    shop.go(1);
    let answers = join_all(joined.iter_mut().map(h1::Call::answer)).await;
    let (joined, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((joined.len(), refused.len()), (16, 1));
    assert_eq!((refused[0].status, refused[0].header("retry-after")), (409, Some("1")));
    assert_eq!(first.answer().await.status, 201);
    assert_eq!(server.lifecycle.counts().idempotency.joined, 16);
}

#[tokio::test]
async fn law_k6_a_retry_in_another_process_waits_if_set() {
    let shop = Shop::default();
    let (server, store) = serve(&shop).await;
    let waits = lifecycle().idempotency(keys(&store).wait_for_other_processes(true));
    let other = Server::with(waits, app(&shop)).await;
    let mut first = send(server.at, "/pay", "k", "tea").await;
    shop.begun(1).await;
    let retry = tokio::spawn(async move { ask(other.at, "/pay", "k", "tea").await });
    shop.go(1);
    let first = first.answer().await;
    let retry = retry.await.expect("the client reads");
    assert_eq!((retry.status, retry.body), (201, first.body));
}

#[tokio::test]
async fn law_k7_a_request_without_a_valid_key_is_400() {
    let shop = Shop::default();
    let (server, store) = serve(&shop).await;
    let long = format!("idempotency-key: {}\r\n", "k".repeat(256));
    let heads = [
        "",
        "idempotency-key: \r\n",
        "idempotency-key: \"a\"\r\nidempotency-key: \"b\"\r\n",
        "idempotency-key: \"open\r\n",
        "idempotency-key: caf\u{e9}\r\n",
        long.as_str(),
    ];
    for (path, head) in heads.iter().flat_map(|head| [("/pay", head), ("/order", head)]) {
        let refused = with_head(server.at, path, head, "tea").await.answer().await;
        assert_eq!(refused.status, 400, "{path} {head:?}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        assert!(refused.body.contains("Idempotency-Key"), "{}", refused.body);
    }
    assert_eq!((shop.runs(), store.len()), (0, 0));
    assert_eq!(server.lifecycle.counts().idempotency.refused, 12);
}

#[tokio::test]
async fn law_k7_another_request_under_the_same_key_is_422() {
    let shop = Shop::default();
    let (server, _) = serve(&shop).await;
    let mut first = send(server.at, "/pay", "k", "tea").await;
    shop.begun(1).await;
    for path in ["/pay", "/pay?n=2", "/order"] {
        let refused = ask(server.at, path, "k", "coffee").await;
        assert_eq!(refused.status, 422, "{path} while the first one runs");
    }
    shop.go(1);
    assert_eq!(first.answer().await.status, 201);
    for (path, body) in [("/pay", "coffee"), ("/pay?n=2", "tea"), ("/order", "tea")] {
        let refused = ask(server.at, path, "k", body).await;
        assert_eq!(refused.status, 422, "{path} after the first one");
        assert!(refused.body.contains("was used for another request"));
    }
    assert_eq!(shop.runs(), 1);
}
