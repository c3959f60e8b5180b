//! A begun body may go on in another task, be dropped there, or be shared by several requests:
//! its permit and what it has done go with it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use followthrough::{cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1, soon};
use futures_util::future::{FutureExt, Shared};

type Rest = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers as soon as the handler has begun, and hands over what is left of it.
async fn answers_early(
    State((marks, hand_over)): State<(Marks, fn(Rest))>,
    request: Request,
    next: Next,
) -> Response {
    let mut rest: Rest = Box::pin(next.run(request));
    tokio::select! {
        biased;
        response = &mut rest => response,
        () = marks.until("begun") => {
            hand_over(rest);
            http::StatusCode::ACCEPTED.into_response()
        }
    }
}

fn goes_on_elsewhere(rest: Rest) {
    tokio::spawn(rest);
}

fn is_dropped_elsewhere(rest: Rest) {
    tokio::spawn(async move { drop(rest) });
}

async fn start(marks: &Marks, hand_over: fn(Rest)) -> Server {
    let early = middleware::from_fn_with_state((marks.clone(), hand_over), answers_early);
    let app = Router::new()
        .route("/write", post(write))
        .route("/hold", post(commits_and_waits))
        .layer(early)
        .with_state(marks.clone());
    Server::start(app).await
}

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    marks.set("ended");
    "landed"
}

#[tokio::test]
async fn a_write_that_goes_on_in_another_task_keeps_its_permit() {
    let marks = Marks::default();
    let server = start(&marks, goes_on_elsewhere).await;
    assert_eq!(h1::call(server.at, "POST", "/write").await.status, 202);
    assert_eq!(server.lifecycle.in_flight().work.len(), 1);
    server.lifecycle.shutdown();
    soon("stopping", server.lifecycle.stopping().cancelled()).await;
    assert_eq!(server.lifecycle.in_flight().work.len(), 1);
    marks.set("go");
    let report = server.ended().await;
    assert!(marks.has("ended"), "{report}");
    assert_eq!((report.durable.begun, report.durable.completed), (1, 1), "{report}");
}

#[tokio::test]
async fn a_write_that_is_dropped_in_another_task_follows_through() {
    let marks = Marks::default();
    let server = start(&marks, is_dropped_elsewhere).await;
    assert_eq!(h1::call(server.at, "POST", "/write").await.status, 202);
    soon("detached work", async {
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    marks.set("go");
    let report = server.stop().await;
    assert!(marks.has("ended"), "{report}");
    assert_eq!(report.durable.followed_through, 1, "{report}");
}

async fn undo(marks: Marks) {
    tokio::task::yield_now().await;
    marks.set("undone");
}

#[cancellable(reversible_write, on_cancel = undo(marks.clone()))]
async fn commits_and_waits(State(marks): State<Marks>) -> &'static str {
    let _over = marks.on_drop("body over");
    #[durable_write]
    async {
        marks.set("committed");
        tokio::task::yield_now().await;
    }
    .await;
    marks.set("begun");
    marks.until("go").await;
    "held"
}

#[tokio::test]
async fn a_committed_write_is_not_undone_because_it_was_moved() {
    let marks = Marks::default();
    let server = start(&marks, is_dropped_elsewhere).await;
    assert_eq!(h1::call(server.at, "POST", "/hold").await.status, 202);
    marks.set("go");
    marks.until("body over").await;
    // A drain waits for compensations.
    server.stop().await;
    assert!(marks.has("committed") && !marks.has("undone"), "{:?}", marks.all());
}

type Flight = Shared<Pin<Box<dyn Future<Output = &'static str> + Send>>>;

/// Joins the write that is in flight, or starts one.
async fn single_flight(
    State((marks, flight)): State<(Marks, Arc<Mutex<Option<Flight>>>)>,
) -> &'static str {
    let start = || async { write(State(marks)).await.into_result().unwrap_or("cancelled") };
    let flight = flight.lock().unwrap().get_or_insert_with(|| start().boxed().shared()).clone();
    flight.await
}

#[tokio::test]
async fn a_write_that_two_requests_share_outlives_the_first() {
    let marks = Marks::default();
    let state = (marks.clone(), Arc::default());
    let server =
        Server::start(Router::new().route("/", post(single_flight)).with_state(state)).await;
    let first = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    let mut second = h1::send(server.at, "POST", "/").await;
    requests(&server, 2).await;
    first.hang_up();
    requests(&server, 1).await;
    assert_eq!(server.lifecycle.in_flight().work.len(), 1);
    marks.set("go");
    let answer = second.answer().await;
    assert_eq!((answer.status, &*answer.body), (200, "landed"));
    assert_eq!(server.stop().await.durable.completed, 1);
}

async fn requests(server: &Server, expected: usize) {
    soon("the requests", async {
        while server.lifecycle.in_flight().requests != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
