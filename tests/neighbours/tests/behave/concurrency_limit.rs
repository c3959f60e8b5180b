//! tower's `ConcurrencyLimit`: a request waits for its turn before its handler begins.

use followthrough_tests::{Marks, Server, h1};
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};

use crate::app::{app, marked, policies_hold};

#[tokio::test]
async fn a_concurrency_limit_changes_no_policy() {
    policies_hold(|app| app.layer(ConcurrencyLimitLayer::new(1))).await;
}

/// The shutdown answers a request that waits for its turn, and the handler never begins.
#[tokio::test]
async fn a_request_that_waits_for_its_turn_is_answered_by_the_shutdown() {
    let marks = Marks::default();
    let app = app(&marks).layer(ConcurrencyLimitLayer::new(1));
    let server = Server::with(marked(&marks), app).await;
    let mut first = h1::send(server.at, "GET", "/read?1").await;
    marks.until("/read?1 begun").await;
    let mut second = h1::send(server.at, "GET", "/read?2").await;
    let (_report, first, second) = tokio::join!(server.stop(), first.answer(), second.answer());
    assert_eq!((first.status, second.status), (503, 503), "{first:?} {second:?}");
    assert!(second.body.contains(r#""outcome":"not_begun""#), "{second:?}");
    assert!(!marks.has("/read?2 begun"), "{:?}", marks.all());
}

/// The place of a request is free when its client has left, and its write goes on: the limit bounds
/// requests and not the writes that outlive them. `max_in_flight` bounds those.
#[tokio::test]
async fn a_concurrency_limit_does_not_count_a_write_whose_client_has_left() {
    let marks = Marks::default();
    let app = app(&marks).layer(ConcurrencyLimitLayer::new(1));
    let server = Server::with(marked(&marks), app).await;
    let call = h1::send(server.at, "POST", "/write?1").await;
    marks.until("/write?1 begun").await;
    call.hang_up();
    let mut second = h1::send(server.at, "POST", "/write?2").await;
    marks.until("/write?2 begun").await;
    assert!(!marks.has("/write?1 landed"), "{:?}", marks.all());
    marks.set("go");
    assert_eq!(second.answer().await.body, "landed");
    marks.until("/write?1 landed").await;
}

/// `Router::layer` makes a limit for each route of the one, and a limit for all routes of the other.
#[tokio::test]
async fn a_global_limit_is_for_all_routes_and_a_plain_one_for_each() {
    let marks = Marks::default();
    let each = app(&marks).layer(ConcurrencyLimitLayer::new(1));
    let server = Server::with(marked(&marks), each).await;
    let _open = h1::send(server.at, "GET", "/read?1").await;
    marks.until("/read?1 begun").await;
    let _begins = h1::send(server.at, "POST", "/write?1").await;
    marks.until("/write?1 begun").await;

    let all = app(&marks).layer(GlobalConcurrencyLimitLayer::new(1));
    let server = Server::with(marked(&marks), all).await;
    let _open = h1::send(server.at, "GET", "/read?2").await;
    marks.until("/read?2 begun").await;
    let mut waits = h1::send(server.at, "POST", "/write?2").await;
    let (_report, answer) = tokio::join!(server.stop(), waits.answer());
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(!marks.has("/write?2 begun"), "{:?}", marks.all());
    marks.set("go");
}
