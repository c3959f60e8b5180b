//! Functions under a stand-in for Lambda's runtime API: processes that are invoked over HTTP, each
//! time with a deadline.

mod fake;

use std::time::Duration;

use fake::{Sandbox, ahead};

const SECOND: Duration = Duration::from_secs(1);
const ORDERS: &str = env!("CARGO_BIN_EXE_orders-lambda");
const TRIAL: &str = env!("CARGO_BIN_EXE_trial");
/// The default of `graceful_stop`.
const MARGIN: Duration = Duration::from_secs(3);

fn too_late() -> (u64, String, String) {
    (504, "deadline_exceeded".to_owned(), "not_begun".to_owned())
}

#[tokio::test]
async fn a_slow_read_of_the_orders_is_answered_before_the_platform_ends_it() {
    let mut sandbox = Sandbox::start(ORDERS, &[("ORDERS_SLOW_MS", "60000")]).await;
    // Lambda starts a sandbox before the time of an invocation begins.
    assert_eq!(sandbox.invoke(ahead(60 * SECOND), "GET", "/health").await.status(), 200);
    for _ in 0..2 {
        // The handler's deadline of 5 s is later.
        let limit = MARGIN + SECOND;
        let answer = sandbox.invoke(ahead(limit), "GET", "/orders/1").await;
        assert_eq!(answer.problem(), too_late());
        assert!((SECOND / 2..limit).contains(&answer.after), "{:?}", answer.after);
    }
    assert_eq!(sandbox.invoke(ahead(60 * SECOND), "GET", "/health").await.status(), 200);
    let log = sandbox.end().await;
    assert_eq!(log.matches("cause=deadline_exceeded").count(), 2, "{log}");
}

#[tokio::test]
async fn without_the_layer_the_same_read_is_just_slow() {
    let slow = [("ORDERS_SLOW_MS", "1500"), ("ORDERS_LAYER", "off")];
    let mut sandbox = Sandbox::start(ORDERS, &slow).await;
    let answer = sandbox.invoke(ahead(SECOND), "GET", "/orders?sku=tea").await;
    assert_eq!((answer.status(), answer.text()), (200, "[]"), "{}", answer.value);
    assert!(answer.after > SECOND, "{:?}", answer.after);
}

#[tokio::test]
async fn a_write_does_not_begin_with_too_little_left() {
    let mut sandbox = Sandbox::start(TRIAL, &[]).await;
    let answer = sandbox.invoke(ahead(60 * SECOND), "POST", "/needs-ten-minutes").await;
    let refused = (503, "time_too_short".to_owned(), "not_begun".to_owned());
    assert_eq!(answer.problem(), refused);
    assert_eq!(answer.value["headers"]["retry-after"], "1", "{}", answer.value);
    let answer = sandbox.invoke(ahead(60 * SECOND), "POST", "/needs-ten-seconds").await;
    assert_eq!((answer.status(), answer.text()), (200, "written"), "{}", answer.value);
}

#[tokio::test]
async fn an_implausible_deadline_leaves_the_margin() {
    let mut sandbox = Sandbox::start(TRIAL, &[]).await;
    let day_ago = ahead(Duration::ZERO) - 25 * 3600 * 1000;
    let decades = ahead(30 * 366 * 24 * 3600 * SECOND);
    for deadline in [0, 1, 300_000, day_ago, decades, u64::MAX] {
        let answer = sandbox.invoke(deadline, "GET", "/remaining").await;
        let left = Duration::from_millis(answer.text().parse().unwrap());
        assert!(left <= MARGIN, "{deadline}: {left:?}");
        let answer = sandbox.invoke(deadline, "POST", "/needs-ten-seconds").await;
        assert_eq!(answer.problem().1, "time_too_short", "{deadline}");
    }
    assert_eq!(sandbox.invoke(0, "GET", "/waits").await.problem(), too_late());
    let log = sandbox.end().await;
    assert_eq!(log.matches("of this invocation is implausible").count(), 1, "{log}");
}

#[tokio::test]
async fn each_invocation_has_its_own_deadline() {
    let mut sandbox = Sandbox::start(TRIAL, &[]).await;
    for (first, deadline) in [
        ("GET /answers", Some(60 * SECOND)),
        ("GET /waits", Some(MARGIN + SECOND / 4)),
        ("GET /waits", Some(Duration::ZERO)),
        ("GET /waits", None),
        ("GET /panics", Some(60 * SECOND)),
        ("GET /streams", Some(MARGIN + SECOND / 4)),
        ("POST /needs-ten-minutes", Some(60 * SECOND)),
        ("POST /writes", Some(MARGIN + SECOND / 4)),
    ] {
        let (method, path) = first.split_once(' ').unwrap();
        let ended = sandbox.invoke(deadline.map_or(0, ahead), method, path).await;
        let fails = matches!(path, "/panics" | "/streams");
        assert_eq!(ended.kind, if fails { "error" } else { "response" }, "{first}");

        let answer = sandbox.invoke(ahead(600 * SECOND), "GET", "/remaining").await;
        let left = Duration::from_millis(answer.text().parse().unwrap());
        assert!(left > 500 * SECOND && left <= 597 * SECOND, "after {first}: {left:?}");
        let answer = sandbox.invoke(ahead(600 * SECOND), "POST", "/needs-ten-seconds").await;
        assert_eq!(answer.text(), "written", "after {first}: {}", answer.value);
    }
}

#[tokio::test]
async fn events_give_what_they_have_a_cut_body_fails_and_a_write_goes_on() {
    let mut sandbox = Sandbox::start(TRIAL, &[]).await;
    assert_eq!(sandbox.invoke(ahead(60 * SECOND), "GET", "/answers").await.text(), "here");
    let limit = MARGIN + SECOND;
    let answer = sandbox.invoke(ahead(limit), "GET", "/events").await;
    assert_eq!((answer.status(), answer.text()), (200, "first"), "{}", answer.value);
    assert!(answer.after < limit, "{:?}", answer.after);
    // A cut body does not look whole.
    let answer = sandbox.invoke(ahead(limit), "GET", "/streams").await;
    assert_eq!(answer.kind, "error", "{}", answer.value);
    assert!(answer.after < limit, "{:?}", answer.after);
    let answer = sandbox.invoke(ahead(limit), "POST", "/writes").await;
    assert_eq!(answer.problem(), (504, "deadline_exceeded".to_owned(), "unknown".to_owned()));
}

#[tokio::test]
async fn a_time_out_within_the_margin_is_logged_once() {
    let mut sandbox = Sandbox::start(TRIAL, &[]).await;
    for _ in 0..2 {
        let answer = sandbox.invoke(ahead(SECOND * 2), "GET", "/remaining").await;
        assert_eq!(answer.problem(), too_late());
    }
    let log = sandbox.end().await;
    assert_eq!(log.matches("raise the function's time-out").count(), 1, "{log}");
}
