//! Several requests wait for one write. The remaining requests drive it, and it keeps its permit.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use followthrough::{cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1, soon};
use futures_util::future::{FutureExt, Shared};

type Flight = Shared<Pin<Box<dyn Future<Output = &'static str> + Send>>>;

#[derive(Clone, Default)]
struct App {
    marks: Marks,
    flight: Arc<Mutex<Option<Flight>>>,
}

#[durable_write]
async fn write(marks: Marks) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    "landed"
}

/// Joins the write in flight, or starts one.
async fn single_flight(app: App) -> &'static str {
    let flight = {
        let mut flight = app.flight.lock().unwrap();
        if flight.is_some() {
            app.marks.set("joined");
        }
        let start = async { write(app.marks).await.into_result().unwrap_or("cancelled") };
        flight.get_or_insert_with(|| start.boxed().shared()).clone()
    };
    flight.await
}

async fn plain(State(app): State<App>) -> &'static str {
    single_flight(app).await
}

#[cancellable(read)]
async fn governed(State(app): State<App>) -> &'static str {
    single_flight(app).await
}

#[cancellable(read)]
async fn read_for_ever(State(app): State<App>) {
    app.marks.set("reading");
    std::future::pending::<()>().await;
}

async fn requests(server: &Server, expected: usize) {
    soon("the requests", async {
        while server.lifecycle.in_flight().requests != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Starts a server with two requests that wait for one write: the first began it and the second
/// joined.
async fn shared(path: &str) -> (Marks, Server, [h1::Call; 2]) {
    let app = App::default();
    let router = Router::new()
        .route("/plain", post(plain))
        .route("/governed", post(governed))
        .route("/read", get(read_for_ever))
        .with_state(app.clone());
    let server = Server::start(router).await;
    let first = h1::send(server.at, "POST", path).await;
    app.marks.until("begun").await;
    let second = h1::send(server.at, "POST", path).await;
    app.marks.until("joined").await;
    requests(&server, 2).await;
    (app.marks, server, [first, second])
}

#[tokio::test]
async fn a_write_that_two_requests_share_outlives_the_first() {
    for path in ["/plain", "/governed"] {
        let (marks, server, [first, mut second]) = shared(path).await;
        first.hang_up();
        requests(&server, 1).await;
        assert_eq!(server.lifecycle.in_flight().work.len(), 1, "{path}");
        marks.set("go");
        let answer = second.answer().await;
        assert_eq!((answer.status, &*answer.body), (200, "landed"), "{path}");
        assert_eq!(server.stop().await.durable.completed, 1, "{path}");
    }
}

#[tokio::test]
async fn a_shared_write_that_lands_at_stopping_is_not_answered_as_refused() {
    let (marks, server, [first, mut second]) = shared("/governed").await;
    first.hang_up();
    requests(&server, 1).await;
    let mut read = h1::send(server.at, "GET", "/read").await;
    marks.until("reading").await;
    server.lifecycle.shutdown();
    // By then, *stopping* has woken the requests that wait.
    assert_eq!(read.answer().await.status, 503);
    assert_eq!(server.lifecycle.in_flight().work.len(), 1);
    marks.set("go");
    let answer = second.answer().await;
    assert_eq!((answer.status, &*answer.body), (200, "landed"));
    let report = server.ended().await;
    assert_eq!(report.durable.completed, 1, "{report}");
}
