//! A shutdown that begins before the body of a handler.

use axum::{
    extract::{Request, State},
    middleware::{Next, from_fn},
    response::Response,
};
use followthrough::{Router, durable_write, routing::post};
use followthrough_tests::{Marks, Server, h1, h2c};

use super::handlers::{FIVE_OF_A_HUNDRED, MS, governed, noting, plain};

#[tokio::test]
async fn law_03_stopping_ends_the_wait_for_an_upload() {
    for (app, handler) in [
        (governed as fn(&Marks) -> axum::Router, "patient"),
        (plain as fn(&Marks) -> axum::Router, "(before its handler)"),
    ] {
        let marks = Marks::default();
        let server = Server::with(noting(&marks).read_grace(200 * MS), app(&marks)).await;
        let mut over_http1 = h1::raw(server.at, format!("POST /patient{FIVE_OF_A_HUNDRED}")).await;
        let mut connection = h2c::connect(server.at).await;
        let mut over_http2 = connection.begin("POST", "/patient").await;
        over_http2.data(b"hello");
        while server.lifecycle.in_flight().requests < 2 {
            tokio::task::yield_now().await;
        }
        server.lifecycle.shutdown();
        let answer = over_http1.answer().await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(answer.body.contains(r#""outcome":"not_begun""#), "{answer:?}");
        let answer = over_http2.answer().await;
        assert_eq!(answer.status, 503, "{answer:?}");
        drop((over_http1, connection));
        let report = server.ended().await;
        assert!(report.elapsed < 4000 * MS && report.connections_cut.is_empty(), "{report}");
        assert_eq!(report.cancelled.shutting_down, 2, "{report}");
        let ended = format!("{handler} 503 shutting_down not_begun");
        assert_eq!(marks.all(), [ended.clone(), ended]);
    }
}

#[tokio::test]
async fn stopping_ends_an_extractor_that_waits_for_something_else() {
    let marks = Marks::default();
    let server = Server::with(noting(&marks).read_grace(200 * MS), governed(&marks)).await;
    let mut call = h1::send(server.at, "GET", "/pooled_patiently").await;
    marks.until("extracting").await;
    server.lifecycle.shutdown();
    assert_eq!(call.answer().await.status, 503);
    drop(call);
    let report = server.ended().await;
    assert!(report.elapsed < 4000 * MS && report.connections_cut.is_empty(), "{report}");
    let ended = "pooled_patiently 503 shutting_down not_begun";
    assert_eq!(marks.all(), ["extracting", "extractor dropped", ended]);
}

#[tokio::test]
async fn stopping_ends_middleware_that_waits() {
    let marks = Marks::default();
    let server = Server::with(noting(&marks).read_grace(200 * MS), governed(&marks)).await;
    let mut call = h1::send(server.at, "GET", "/behind").await;
    marks.until("in the middleware").await;
    server.lifecycle.shutdown();
    assert_eq!(call.answer().await.status, 503);
    drop(call);
    let report = server.ended().await;
    assert!(report.elapsed < 4000 * MS && report.connections_cut.is_empty(), "{report}");
    assert!(marks.has("middleware dropped") && !marks.has("begun"), "{:?}", marks.all());
}

#[durable_write(name = "taken_along")]
async fn taken_along(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    "landed"
}

async fn spawns(request: Request, next: Next) -> Response {
    tokio::spawn(next.run(request)).await.expect("it does not panic")
}

#[tokio::test]
async fn law_08_a_write_that_middleware_has_spawned_is_not_answered_503() {
    let marks = Marks::default();
    let app = Router::new()
        .route("/", post(taken_along))
        .layer(from_fn(spawns))
        .with_state(marks.clone())
        .into_axum();
    let server = Server::with(noting(&marks), app).await;
    let mut call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    server.lifecycle.shutdown();
    server.lifecycle.stopping().cancelled().await;
    // The connection is woken for *stopping* before this sleep ends.
    tokio::time::sleep(50 * MS).await;
    marks.set("go");
    let answer = call.answer().await;
    assert_eq!((answer.status, &*answer.body), (200, "landed"), "{answer:?}");
    server.ended().await;
}
