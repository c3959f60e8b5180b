//! The memory that unfinished uploads hold.
//!
//! The tests have a binary of their own, because they measure the memory of the whole process.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    routing::post,
};
use followthrough::{Serve, durable_write};
use followthrough_tests::{Marks, h2c, serve_as};
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::HeaderMap;

/// The limit of axum's extractors, less a byte.
static UNFINISHED: [u8; (2 << 20) - 1] = [7; (2 << 20) - 1];
/// The number of chunks of the long upload, which exceed the memory limit together.
const STREAMED: usize = 20;
/// The uploads that are held get no answer, however long the other ones take.
const PATIENT: Duration = Duration::from_mins(2);

#[durable_write]
async fn store(State(marks): State<Marks>, body: Bytes) -> String {
    marks.set("stored");
    body.len().to_string()
}

/// Counts the bytes of its body as they arrive.
async fn count(body: Body) -> String {
    let mut parts = body.into_data_stream();
    let mut bytes = 0;
    while let Some(part) = parts.next().await {
        bytes += part.expect("it comes whole").len();
    }
    bytes.to_string()
}

/// Collects its body frame by frame.
async fn hold(State(marks): State<Marks>, body: Body) -> &'static str {
    let mut parts = body.into_data_stream();
    let mut held = Vec::new();
    while let Some(part) = parts.next().await {
        held.push(part.expect("it comes whole"));
        if held.iter().map(Bytes::len).sum::<usize>() == 900 << 10 {
            marks.set("held");
        }
    }
    "whole"
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/store", post(store))
        .route("/count", post(count))
        .route("/hold", post(hold))
        .with_state(marks.clone())
}

/// Returns the resident memory of this process in MiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says so");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") >> 10
}

/// Opens two connections with two hundred unfinished uploads each.
async fn two_connections(at: SocketAddr) -> (Vec<h2c::Connection>, Vec<h2c::Call>) {
    let (mut connections, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let mut connection = h2c::connect(at).await;
        for _ in 0..200 {
            let mut call = connection.begin("POST", "/store").await;
            call.data(&UNFINISHED);
            calls.push(call);
        }
        connections.push(connection);
    }
    (connections, calls)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn four_hundred_unfinished_uploads_hold_a_bounded_memory_and_block_no_other_upload() {
    let marks = Marks::default();
    let (at, _) = serve_as(app(&marks), |serve| serve).await;
    let before = resident();
    let (mut connections, calls) = two_connections(at).await;
    let mut answers: FuturesUnordered<_> =
        calls.into_iter().map(|call| call.answer_within(PATIENT)).collect();
    // All uploads except those that a connection may hold: 16 of two megabytes, or 17 less the free
    // part.
    for _ in 0..400 - 2 * 18 {
        let answer = answers.next().await.expect("it is refused");
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(answer.body.contains(r#""cause":"limit_reached","outcome":"not_begun""#));
    }
    let held = resident().saturating_sub(before);
    assert!(held < 200, "{held} MiB");
    assert!(!marks.has("stored"), "none was whole");

    // Beside the held uploads, a small upload and a long streamed one succeed.
    let mut small = connections[0].begin("POST", "/store").await;
    small.data(b"small");
    small.finish(HeaderMap::new());
    assert_eq!(small.answer().await.body, "5");
    let mut long = connections[0].begin("POST", "/count").await;
    for _ in 0..STREAMED {
        long.data(&UNFINISHED);
    }
    long.finish(HeaderMap::new());
    assert_eq!(long.answer_within(PATIENT).await.body, (STREAMED * UNFINISHED.len()).to_string());
}

#[tokio::test]
async fn an_upload_gives_its_memory_back() {
    let marks = Marks::default();
    let limit = 1 << 20;
    let set = |serve: Serve| serve.max_upload_memory_per_connection(limit).max_upload_memory(limit);
    let (at, _) = serve_as(app(&marks), set).await;
    let mut connection = h2c::connect(at).await;
    // The uploads come one after the other, and each takes more than half of the limit.
    for _ in 0..8 {
        let mut call = connection.begin("POST", "/store").await;
        call.data(&UNFINISHED[..700 << 10]);
        call.finish(HeaderMap::new());
        assert_eq!(call.answer().await.status, 200);
    }
    // Two uploads at once exceed the limit, also on two connections.
    let mut first = h2c::connect(at).await.begin("POST", "/hold").await;
    first.data(&UNFINISHED[..900 << 10]);
    marks.until("held").await;
    let mut second = connection.begin("POST", "/store").await;
    second.data(&UNFINISHED[..900 << 10]);
    second.finish(HeaderMap::new());
    let refused = second.answer().await;
    assert_eq!((refused.status.as_u16(), refused.whole), (503, true), "{}", refused.body);
    first.finish(HeaderMap::new());
    assert_eq!(first.answer().await.body, "whole");
}
