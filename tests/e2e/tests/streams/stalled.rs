//! Streams with stalled readers are still told of their end.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, extract::State, response::Response, routing::get};
use bytes::Bytes;
use followthrough::cancellable;
use followthrough_tests::{Marks, Server, h1, h2c, lifecycle};
use futures_util::stream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const MS: Duration = Duration::from_millis(1);

fn flood(size: usize) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((), move |()| async move { Some((Ok(Bytes::from(vec![7; size])), ())) })
}

#[cancellable(stream)]
async fn flooding(State(marks): State<Marks>, cancel: CancellationToken) -> Response {
    // A producer task holds the token, as libraries do.
    tokio::spawn(async move {
        cancel.cancelled().await;
        marks.set("told");
    });
    Response::new(Body::from_stream(flood(64 << 10)))
}

#[cancellable(stream)]
async fn flooding_big(State(marks): State<Marks>, cancel: CancellationToken) -> Response {
    tokio::spawn(async move {
        cancel.cancelled().await;
        marks.set("told");
    });
    Response::new(Body::from_stream(flood(16 << 20)))
}

#[cancellable(stream, deadline = "300ms")]
async fn bounded(State(marks): State<Marks>, cancel: CancellationToken) -> Response {
    tokio::spawn(async move {
        cancel.cancelled().await;
        marks.set("told");
    });
    Response::new(Body::from_stream(flood(64 << 10)))
}

async fn stalled(path: &str, over_2: bool, stop: bool) -> Result<Duration, String> {
    let marks = Marks::default();
    let app = Router::new()
        .route("/flood", get(flooding))
        .route("/big", get(flooding_big))
        .route("/bounded", get(bounded))
        .with_state(marks.clone());
    let builder = lifecycle().grace(6000 * MS).read_grace(3000 * MS);
    let server = Server::with(builder, app).await;
    let mut kept_1 = None;
    let mut kept_2 = None;
    if over_2 {
        let mut connection = h2c::connect(server.at).await;
        let call = connection.send("GET", path).await;
        kept_2 = Some((call.begins().await, connection));
    } else {
        kept_1 = Some(h1::send(server.at, "GET", path).await);
    }
    sleep(200 * MS).await;
    let since = Instant::now();
    if stop {
        server.lifecycle.shutdown();
    }
    let told = timeout(2500 * MS, async {
        while !marks.has("told") {
            sleep(5 * MS).await;
        }
    })
    .await;
    drop((kept_1, kept_2));
    told.map(|()| since.elapsed()).map_err(|_| format!("not told within 2.5 s: {path}"))
}

#[tokio::test]
async fn a_stream_whose_reader_stalls_is_told_at_closing_over_http_1() {
    stalled("/flood", false, true).await.unwrap();
}

#[tokio::test]
async fn a_stream_whose_reader_stalls_is_told_at_closing_over_http_1_big_items() {
    stalled("/big", false, true).await.unwrap();
}

#[tokio::test]
async fn a_stream_whose_reader_stalls_is_told_at_closing_over_http_2() {
    stalled("/flood", true, true).await.unwrap();
}

#[tokio::test]
async fn a_stream_whose_reader_stalls_ends_at_its_deadline_over_http_1() {
    stalled("/bounded", false, false).await.unwrap();
}

#[tokio::test]
async fn a_stream_whose_reader_stalls_ends_at_its_deadline_over_http_2() {
    stalled("/bounded", true, false).await.unwrap();
}
