//! Requests share pooled state, and no state of one request reaches the next.

use axum::{
    Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{get, post},
};
use followthrough::{cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1, lifecycle, soon};
use tower::ServiceExt;

/// Sends a request to an app without a server. On one thread, the request gets the box that was
/// returned last.
async fn in_process(app: &Router, method: &str, path: &str) -> Response {
    let request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    marks.set("ended");
    "landed"
}

#[cancellable(read)]
async fn writes_and_reads_on() -> &'static str {
    #[durable_write]
    async {}.await;
    #[cancellable(read)]
    tokio::task::yield_now().await;
    "done"
}

#[tokio::test]
async fn a_detached_write_does_not_detach_later_requests() {
    let marks = Marks::default();
    let app = Router::new()
        .route("/write", post(write))
        .route("/next", post(writes_and_reads_on))
        .with_state(marks.clone());
    let server = Server::start(app).await;
    let call = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    call.hang_up();
    soon("detached work", async {
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    marks.set("go");
    soon("the end of the write", async {
        while !server.lifecycle.in_flight().work.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(marks.has("ended"));
    for _ in 0..4 {
        assert_eq!(h1::call(server.at, "POST", "/next").await.body, "done");
    }
    server.stop().await;
}

#[cancellable(read)]
async fn writes_in_a_site() -> &'static str {
    #[durable_write]
    async {}.await;
    "written"
}

#[cancellable(read)]
async fn falls_back_from_a_refused_write() -> &'static str {
    // The refused inner body stays pending for ever, and `select!` drops it.
    tokio::select! {
        biased;
        _ = writes_in_a_site() => "written",
        () = async {} => "fallback",
    }
}

#[cancellable(read)]
async fn reads() -> &'static str {
    tokio::task::yield_now().await;
    "read"
}

#[tokio::test]
async fn a_refusal_that_its_handler_dropped_does_not_refuse_the_next_request() {
    let marks = Marks::default();
    let lifecycle = lifecycle().max_durable_writes(1).build().unwrap();
    let app = Router::new()
        .route("/write", post(write))
        .route("/fallback", post(falls_back_from_a_refused_write))
        .route("/read", get(reads))
        .with_state(marks.clone())
        .layer(lifecycle.layer());
    let writing = tokio::spawn({
        let app = app.clone();
        async move { in_process(&app, "POST", "/write").await.status() }
    });
    marks.until("begun").await;
    for (method, path, expected) in [("POST", "/fallback", "fallback"), ("GET", "/read", "read")] {
        let response = in_process(&app, method, path).await;
        assert_eq!(response.status(), 200, "{path}");
        let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
        assert_eq!(body, expected);
    }
    marks.set("go");
    assert_eq!(writing.await.unwrap(), 200);
}

#[cancellable(read)]
async fn moves_a_begun_write_away(State(marks): State<Marks>) -> &'static str {
    let mut writing = Box::pin(write(State(marks)));
    assert!(futures_util::poll!(&mut writing).is_pending());
    tokio::spawn(writing);
    "moved"
}

#[cancellable(read)]
async fn writes_and_waits(State(marks): State<Marks>) -> &'static str {
    #[durable_write]
    async {}.await;
    let _cut = marks.on_drop("cut");
    marks.set("reopened");
    #[cancellable(read)]
    std::future::pending::<()>().await;
    "not reached"
}

#[tokio::test]
async fn a_write_that_was_moved_away_does_not_shield_the_next_request() {
    let marks = Marks::default();
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new()
        .route("/moves", post(moves_a_begun_write_away))
        .route("/waits", post(writes_and_waits))
        .with_state(marks.clone())
        .layer(lifecycle.layer());
    assert_eq!(in_process(&app, "POST", "/moves").await.status(), 200);
    marks.set("go");
    marks.until("ended").await;
    let waiting = tokio::spawn(async move { in_process(&app, "POST", "/waits").await.status() });
    marks.until("reopened").await;
    waiting.abort();
    marks.until("cut").await;
    assert!(waiting.await.unwrap_err().is_cancelled());
}
