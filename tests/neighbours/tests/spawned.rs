//! Middleware that spawns the rest of its requests.
//!
//! The test has a process of its own, because the warning comes once in a process.

use axum::{
    extract::{Request, State},
    middleware::{Next, from_fn},
    response::Response,
};
use followthrough::{
    Router, cancellable, durable_write,
    routing::{get, post},
};
use followthrough_tests::{Log, Marks, Server, h1};

async fn spawns(request: Request, next: Next) -> Response {
    tokio::spawn(next.run(request)).await.expect("it does not panic")
}

#[cancellable(read)]
async fn read(State(marks): State<Marks>) -> &'static str {
    marks.set("reading");
    marks.until("go").await;
    marks.set("read");
    "read"
}

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("writing");
    marks.until("go").await;
    marks.set("landed");
    "landed"
}

#[tokio::test]
async fn a_spawned_rest_hears_nothing_of_its_client_and_warns_once() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new()
        .route("/read", get(read))
        .route("/write", post(write))
        .with_state(marks.clone())
        .layer(from_fn(spawns));
    let server = Server::start(app.into_axum()).await;
    for (method, path, begun) in [("GET", "/read", "reading"), ("POST", "/write", "writing")] {
        let call = h1::send(server.at, method, path).await;
        marks.until(begun).await;
        call.hang_up();
    }
    marks.set("go");
    marks.until("read").await;
    marks.until("landed").await;
    assert_eq!(log.with("a request runs without a lifecycle").len(), 1, "{:?}", log.lines());
    let report = server.stop().await;
    assert_eq!((report.unlinked.completed, report.durable.begun), (1, 0), "{report}");
}
