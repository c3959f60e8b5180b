//! A keyed write happens once although its request is sent twice, and a write without a key is caught.

use axum::routing::{MethodRouter, post};
use followthrough::testing::{Disconnect, Disconnects, disconnect_at_every_await};
use followthrough_tests::soon;
use http::StatusCode;

use crate::shop::{
    Shop, app, keyed, keyed_site, numbered_without_a_key, order, with_store, without_a_key,
};

/// Asserts that each run writes once, and that its retry gets the answer of that write.
async fn writes_once(handler: MethodRouter<Shop>, status: StatusCode, by: &[Disconnect]) {
    let shop = Shop::default();
    let (mut replayed, mut joined) = (0, 0);
    let search = Disconnects::default()
        .by(by.iter().copied())
        .lifecycle(with_store())
        .then_retry()
        .at_every_await(app(&shop, handler), order(), async |run| {
            assert_eq!(shop.take(), [1; 2], "charged and shipped");
            let retry = run.retry().expect("there is one");
            assert_eq!(
                (retry.status(), retry.body()),
                (status, &format!("order {}", shop.last()).into())
            );
            // A write that has begun is never begun again.
            assert!(retry.is_replayed() || (run.was_cut() && !run.is_begun()), "{run}");
            assert_eq!(run.report().durable.begun, 1, "{run}");
            replayed += usize::from(retry.is_replayed());
            joined += run.report().idempotency.joined;
        });
    let summary = search.await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(summary.begun() >= 4 * by.len(), "cut after it began: {summary}");
    // Over a socket the retry takes longer than the rest of the write.
    let in_process = by.contains(&Disconnect::Drop);
    assert!(joined > 0 || !in_process, "some retries come while the write still runs: {summary}");
    assert!(replayed < summary.runs(), "some retries come before anything began: {summary}");
}

#[tokio::test]
async fn a_keyed_write_happens_once() {
    writes_once(post(keyed), StatusCode::CREATED, &[Disconnect::Drop]).await;
}

#[tokio::test]
async fn a_keyed_write_happens_once_however_its_client_leaves() {
    let search = writes_once(post(keyed), StatusCode::CREATED, &Disconnect::OVER_THE_WIRE);
    soon("the end of the search", search).await;
}

#[tokio::test]
async fn a_handler_with_a_durable_site_writes_once() {
    let by = [Disconnect::Drop, Disconnect::Http2StreamReset];
    writes_once(post(keyed_site), StatusCode::OK, &by).await;
}

#[tokio::test]
async fn the_search_with_the_default_settings_sends_again_too() {
    let shop = Shop::default();
    let summary = disconnect_at_every_await(app(&shop, post(keyed)), order(), async |run| {
        assert_eq!(shop.take(), [1; 2], "{run}");
        assert_eq!(run.retry().expect("there is one").status(), StatusCode::CREATED);
    })
    .lifecycle(with_store())
    .then_retry()
    .await;
    assert!(summary.begun() > 0, "{summary}");
}

#[tokio::test]
async fn a_write_without_a_key_is_caught_writing_twice() {
    let shop = Shop::default();
    let search = Disconnects::default().lifecycle(with_store()).then_retry();
    let app = app(&shop, post(without_a_key));
    let failure = search
        .at_every_await(app, order(), async |run| {
            let written = shop.take();
            // Without a disconnect the client has its answer, and knows that it must not repeat.
            assert!(!run.was_cut() || written == [1; 2], "charged and shipped {written:?}");
        })
        .await
        .expect_err("the retry writes again");
    let run = failure.cut().expect("it was cut");
    assert!(run.is_begun() && run.was_cut(), "{failure}");
    let said = failure.to_string();
    assert!(said.contains("charged and shipped [2, 2]"), "{said}");
    assert!(said.contains("sent again: 200 OK\n"), "{said}");
}

#[tokio::test]
async fn another_answer_to_the_retry_is_a_failure() {
    let shop = Shop::default();
    let search = Disconnects::default().lifecycle(with_store()).then_retry();
    let app = app(&shop, post(numbered_without_a_key));
    let failure = search.at_every_await(app, order(), async |_| ()).await;
    let failure = failure.expect_err("the second order has another number");
    let said = failure.to_string();
    let answers = "has another answer\n  first: 200 OK \"order 1\"\n  retry: 200 OK \"order 2\"";
    assert!(said.contains(answers), "{said}");
    assert!(!failure.cut().expect("it ran").was_cut(), "{said}");
}
