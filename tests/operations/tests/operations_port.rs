//! The operations port of the order service while it runs, while it drains, and until it ends.

use std::time::{Duration, Instant};

use followthrough_operations_tests::Orders;
use followthrough_tests::{Leaving, Signal, h1, soon};

const PROGRAM: &str = env!("CARGO_BIN_EXE_orders-under-test");

#[tokio::test]
async fn the_port_answers_through_the_drain_and_the_process_ends_after_one_more_scrape() {
    let orders = Orders::start(PROGRAM, &["--slow", "300ms"]).await;
    let page = h1::call(orders.operations, "GET", "/live").await;
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    let mut events = h1::send(orders.operations, "GET", "/live/events").await;
    events.until("\"phase\":\"running\"").await;

    let body = r#"{"from": "tea", "to": "cocoa", "quantity": 1}"#;
    let transfer = orders.send("POST", "/transfers", body).await;
    orders.until("durable_work_begun_total", "", 1).await;
    drop(transfer.leave(Leaving::Reset).await);
    let since = orders.process.signal(Signal::TERM);
    orders.until("phase", "closing", 1).await;
    orders.until("work_detached", "transfers::create", 1).await;
    // The stream ends after the snapshot of the end, so the scrape that follows is the last one.
    let last = events.until("\r\n0\r\n\r\n").await;
    assert!(last.contains("\"is_last\":true") && last.contains("\"phase\":\"ended\""), "{last}");
    assert!(last.contains("\"followed_through\":1"), "{last}");
    let ended = Instant::now();
    let samples = h1::call(orders.operations, "GET", "/metrics").await.body;
    assert!(samples.contains("followthrough_rescued_total 1"), "{samples}");
    events.ends().await;
    let exit = soon("the end", orders.process.exit(since)).await;
    assert!(ended.elapsed() < Duration::from_secs(2), "it waits no longer: {exit}");
    assert_eq!((exit.code, exit.durable("followed_through")), (Some(0), 1), "{exit}");
}

#[tokio::test]
async fn the_process_ends_without_a_scrape_after_three_seconds() {
    let orders = Orders::start(PROGRAM, &[]).await;
    // The service listens to signals once it answers.
    assert_eq!(orders.call("GET", "/health", "").await.status, 200);
    let since = orders.process.signal(Signal::TERM);
    let exit = orders.process.exit(since).await;
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(exit.took >= Duration::from_secs(3) && exit.took < Duration::from_secs(6), "{exit}");
}
