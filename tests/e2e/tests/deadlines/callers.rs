//! Deadlines in the headers of callers.

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use followthrough::{CallerDeadlines, LifecycleBuilder, RequestToken, cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1};
use http::HeaderName;
use std::{future::pending, net::SocketAddr, time::Duration};

const MS: Duration = Duration::from_millis(1);

#[cancellable(read)]
async fn waits() {
    pending::<()>().await;
}

#[cancellable(read, deadline = "50ms")]
async fn short() {
    pending::<()>().await;
}

/// Returns the minutes that remain of the handler's hour.
#[cancellable(read, deadline = "1h")]
async fn remaining(token: RequestToken) -> String {
    token
        .remaining()
        .map_or("none".to_owned(), |left| (left.as_secs_f64() / 60.0).ceil().to_string())
}

#[durable_write]
async fn writes(State(marks): State<Marks>) {
    marks.set("begun");
    marks.until("go").await;
    marks.set("landed");
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/", get(waits))
        .route("/short", get(short))
        .route("/remaining", get(remaining))
        .route("/writes", post(writes))
        .with_state(marks.clone())
}

fn reading() -> LifecycleBuilder {
    followthrough_tests::lifecycle().caller_deadlines(
        CallerDeadlines::new()
            .grpc_timeout()
            .envoy()
            .header(HeaderName::from_static("x-timeout-ms"))
            .floor(10 * MS),
    )
}

async fn ask(at: SocketAddr, path: &str, headers: &str) -> h1::Answer {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n");
    h1::raw(at, head).await.answer().await
}

#[tokio::test]
async fn each_header_is_a_deadline() {
    let server = Server::with(reading(), app(&Marks::default())).await;
    for header in [
        "grpc-timeout: 50m\r\n",
        "GRPC-Timeout: 50000u\r\n",
        "x-envoy-expected-rq-timeout-ms: 50\r\n",
        "x-timeout-ms: 50\r\n",
        "x-timeout-ms: 50\r\ngrpc-timeout: 1H\r\n",
    ] {
        let answer = ask(server.at, "/", header).await;
        assert_eq!(answer.status, 504, "{header}");
        assert!(
            answer.body.contains("\"cause\":\"deadline_exceeded\""),
            "{header}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn the_remaining_time_is_the_shortest() {
    let server = Server::with(reading(), app(&Marks::default())).await;
    for (header, minutes) in [
        ("", "60"),
        ("grpc-timeout: 30M\r\n", "30"),
        ("grpc-timeout: 99999999H\r\n", "60"),
        ("grpc-timeout: 30M\r\nx-timeout-ms: 600000\r\n", "10"),
    ] {
        assert_eq!(ask(server.at, "/remaining", header).await.body, minutes, "{header}");
    }
    assert_eq!(ask(server.at, "/short", "grpc-timeout: 1H\r\n").await.status, 504);
}

#[tokio::test]
async fn no_header_is_read_unless_it_is_configured() {
    let server = Server::start(app(&Marks::default())).await;
    let headers = "grpc-timeout: 1n\r\nx-envoy-expected-rq-timeout-ms: 1\r\nx-timeout-ms: 1\r\n";
    assert_eq!(ask(server.at, "/remaining", headers).await.body, "60");
}

#[tokio::test]
async fn an_unreadable_header_is_ignored_and_counted() {
    let server = Server::with(reading(), app(&Marks::default())).await;
    let hostile = [
        "grpc-timeout: \r\n",
        "grpc-timeout: -1S\r\n",
        "grpc-timeout: 1s\r\n",
        "grpc-timeout: 999999999S\r\n",
        "grpc-timeout: NaN\r\n",
        "grpc-timeout: 1S\r\ngrpc-timeout: 2S\r\n",
        "x-timeout-ms: 0\r\n",
        "x-timeout-ms: \u{661}\r\n",
        "x-envoy-expected-rq-timeout-ms: 99999999999999999999999999999999\r\n",
    ];
    for header in hostile {
        let answer = ask(server.at, "/remaining", header).await;
        assert_eq!((answer.status, &*answer.body), (200, "60"), "{header}");
    }
    server.lifecycle.shutdown();
    let report = server.lifecycle.drained().await;
    assert_eq!(report.ignored_deadlines, hostile.len() as u64);
    assert!(report.to_string().contains("could not be read: 9"), "{report}");
}

#[tokio::test]
async fn past_the_deadline_of_the_caller_a_write_lands_with_an_unknown_outcome() {
    let marks = Marks::default();
    let server = Server::with(reading(), app(&marks)).await;
    let head = "POST /writes HTTP/1.1\r\nhost: x\r\ngrpc-timeout: 1S\r\ncontent-length: 0\r\n\r\n";
    let answer = h1::raw(server.at, head).await.answer().await;
    assert_eq!(answer.status, 504);
    assert!(answer.body.contains("\"outcome\":\"unknown\""), "{}", answer.body);
    assert!(marks.has("begun") && !marks.has("landed"));
    marks.set("go");
    marks.until("landed").await;
}

#[test]
fn a_cap_below_the_floor_stops_the_start() {
    let callers = CallerDeadlines::new().grpc_timeout().floor(2 * MS).cap(MS);
    let error = followthrough_tests::lifecycle().caller_deadlines(callers).build().unwrap_err();
    assert!(error.to_string().contains("below its `floor`"), "{error}");
}
