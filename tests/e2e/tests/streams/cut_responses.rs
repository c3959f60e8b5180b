//! A response body that the service cuts never looks whole (law 6). A stream with `finish` has the
//! read grace.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE},
    response::{IntoResponse, Response, Sse, sse::Event},
    routing::get,
};
use followthrough::{LastEvent, RequestToken, cancellable};
use followthrough_tests::{Marks, Server, h1, h2c, lifecycle};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);
const ROWS: usize = 20;
/// The length of each row.
const LENGTH: usize = "row 00\n".len();

/// Twenty rows, of which the sixth never comes.
fn five_rows(marks: Marks) -> impl Stream<Item = Result<String, Infallible>> {
    stream::unfold(0, move |row| {
        let marks = marks.clone();
        async move {
            if row == 5 {
                marks.set("five rows");
                std::future::pending::<()>().await;
            }
            (row < ROWS).then(|| (Ok(format!("row {row:02}\n")), row + 1))
        }
    })
}

#[cancellable(stream)]
async fn csv(State(marks): State<Marks>) -> Response {
    ([(CONTENT_TYPE, "text/csv")], Body::from_stream(five_rows(marks))).into_response()
}

#[cancellable(stream)]
async fn csv_of_known_length(State(marks): State<Marks>) -> Response {
    let length = (ROWS * LENGTH).to_string();
    let head = [(CONTENT_TYPE, "text/csv".to_owned()), (CONTENT_LENGTH, length)];
    (head, Body::from_stream(five_rows(marks))).into_response()
}

#[cancellable(stream, deadline = "200ms")]
async fn csv_in_time(State(marks): State<Marks>) -> Response {
    Body::from_stream(five_rows(marks)).into_response()
}

#[cancellable(stream)]
async fn csv_with_a_last_word(State(marks): State<Marks>) -> (LastEvent, Response) {
    let body = Body::from_stream(five_rows(marks));
    (LastEvent::new(Event::default().data("more")), body.into_response())
}

#[cancellable(stream)]
async fn events(State(marks): State<Marks>) -> Response {
    let rows = five_rows(marks).map(|row| row.map(|row| Event::default().data(row.trim())));
    Sse::new(rows).into_response()
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/csv", get(csv))
        .route("/csv_of_known_length", get(csv_of_known_length))
        .route("/csv_in_time", get(csv_in_time))
        .route("/csv_with_a_last_word", get(csv_with_a_last_word))
        .route("/events", get(events))
        .with_state(marks.clone())
}

/// Cuts `path` after five rows, by shutdown or by its own deadline. Returns the bytes that came
/// over HTTP/1.0, 1.1 and 2.
async fn cut(path: &str) -> (Option<String>, String, h2c::Answer) {
    let marks = Marks::default();
    let server = Server::start(app(&marks)).await;
    let mut old = h1::raw(server.at, format!("GET {path} HTTP/1.0\r\nhost: test\r\n\r\n")).await;
    let mut over_http1 = h1::send(server.at, "GET", path).await;
    let mut connection = h2c::connect(server.at).await;
    let over_http2 = connection.send("GET", path).await;
    while marks.all().len() < 3 {
        sleep(5 * MS).await;
    }
    let over_http2 = tokio::spawn(over_http2.answer());
    server.lifecycle.shutdown();
    let answers = (old.whole().await, over_http1.rest().await, over_http2.await.unwrap());
    server.ended().await;
    answers
}

#[tokio::test]
async fn law_06_a_download_that_is_cut_does_not_look_whole() {
    for path in ["/csv", "/csv_of_known_length", "/csv_in_time"] {
        let (old, over_http1, over_http2) = cut(path).await;
        assert_eq!(old, None, "{path}: over HTTP/1.0 only a reset can say so");
        assert!(over_http1.contains("row 04\n"), "{path}: {over_http1}");
        assert!(!over_http1.ends_with("0\r\n\r\n"), "{path}: no last chunk: {over_http1}");
        assert!(!over_http2.whole, "{path}: {over_http2:?}");
    }
}

#[tokio::test]
async fn law_06_an_event_stream_and_a_body_with_a_last_event_end_cleanly() {
    let (old, over_http1, over_http2) = cut("/events").await;
    assert!(old.is_some_and(|old| old.ends_with("data: row 04\n\n")));
    assert!(over_http1.ends_with("0\r\n\r\n"), "{over_http1}");
    assert!(over_http2.whole, "{over_http2:?}");

    let (old, over_http1, over_http2) = cut("/csv_with_a_last_word").await;
    assert!(old.is_some_and(|old| old.ends_with("row 04\ndata: more\n\n")));
    assert!(over_http1.ends_with("data: more\n\n\r\n0\r\n\r\n"), "{over_http1}");
    assert!(over_http2.whole && over_http2.body.ends_with("data: more\n\n"), "{over_http2:?}");
}

/// Returns twenty events, one each `pace`, and marks the cause of the token.
fn answer(
    marks: Marks,
    token: RequestToken,
    pace: Duration,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let told = marks.clone();
    drop(tokio::spawn(async move {
        let cause = token.cancelled().await;
        told.set(format!("told {cause}"));
    }));
    Sse::new(stream::iter(0..20).then(move |n| {
        let marks = marks.clone();
        async move {
            sleep(pace).await;
            marks.set(format!("event {n}"));
            Ok(Event::default().data(format!("{n}")))
        }
    }))
}

#[cancellable(stream, finish)]
async fn finishes(
    State(marks): State<Marks>,
    token: RequestToken,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    answer(marks, token, 20 * MS)
}

#[cancellable(stream, finish)]
async fn takes_too_long(
    State(marks): State<Marks>,
    token: RequestToken,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    answer(marks, token, 1000 * MS)
}

#[cancellable(stream, finish)]
async fn csv_takes_too_long(State(marks): State<Marks>) -> Response {
    Body::from_stream(five_rows(marks)).into_response()
}

fn finishing(marks: &Marks) -> Router {
    Router::new()
        .route("/finishes", get(finishes))
        .route("/takes_too_long", get(takes_too_long))
        .route("/csv", get(csv_takes_too_long))
        .with_state(marks.clone())
}

#[tokio::test]
async fn a_stream_that_is_to_finish_has_the_read_grace_for_it() {
    let marks = Marks::default();
    let builder = lifecycle().grace(9000 * MS).read_grace(8000 * MS);
    let server = Server::with(builder, finishing(&marks)).await;
    let mut over_http1 = h1::send(server.at, "GET", "/finishes").await;
    marks.until("event 3").await;
    let mut connection = h2c::connect(server.at).await;
    let over_http2 = tokio::spawn(connection.send("GET", "/finishes").await.answer());
    marks.until("event 5").await;
    server.lifecycle.shutdown();
    marks.until("told shutting_down").await;
    assert!(!marks.has("event 19"), "it is told before its end: {:?}", marks.all());
    let over_http1 = over_http1.rest().await;
    assert!(over_http1.contains("data: 19\n\n"), "{over_http1}");
    let over_http2 = over_http2.await.unwrap();
    assert!(over_http2.whole && over_http2.body.ends_with("data: 19\n\n"), "{over_http2:?}");
    let report = server.ended().await;
    assert!(report.elapsed < 8000 * MS, "it ends with its streams: {report}");
    assert_eq!(report.cancelled.shutting_down, 0, "nothing was cut: {report}");
}

#[tokio::test]
async fn a_stream_that_does_not_finish_in_the_read_grace_is_cut() {
    let marks = Marks::default();
    let builder = lifecycle().grace(9000 * MS).read_grace(300 * MS);
    let server = Server::with(builder, finishing(&marks)).await;
    let mut events = h1::send(server.at, "GET", "/takes_too_long").await;
    let mut rows = h1::send(server.at, "GET", "/csv").await;
    events.begins().await;
    marks.until("five rows").await;
    server.lifecycle.shutdown();
    assert!(events.rest().await.ends_with("0\r\n\r\n"), "events may be asked for again");
    assert!(!rows.rest().await.ends_with("0\r\n\r\n"), "rows may not");
    let report = server.ended().await;
    assert_eq!(report.cancelled.shutting_down, 2, "{report}");
    assert!(report.elapsed < 4000 * MS && report.elapsed >= 300 * MS, "{report}");
}

#[tokio::test]
async fn a_stream_that_is_to_finish_ends_when_its_reader_leaves() {
    let marks = Marks::default();
    let builder = lifecycle().grace(9000 * MS).read_grace(8000 * MS);
    let server = Server::with(builder, finishing(&marks)).await;
    let reader = h1::send(server.at, "GET", "/takes_too_long").await;
    reader.begins().await;
    reader.hang_up();
    marks.until("told client_disconnected").await;
    let reader = h1::send(server.at, "GET", "/takes_too_long").await;
    reader.begins().await;
    server.lifecycle.shutdown();
    marks.until("told shutting_down").await;
    reader.hang_up();
    let report = server.ended().await;
    assert!(report.elapsed < 4000 * MS, "the client does not read: {report}");
}
