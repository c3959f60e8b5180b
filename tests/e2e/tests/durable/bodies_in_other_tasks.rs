//! A begun body may move to another task or be dropped there. Its permit, its deadline and its
//! compensations move with it.

use std::pin::Pin;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use followthrough::{cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1, lifecycle, soon};
use tower::ServiceExt;

type Rest = Pin<Box<dyn Future<Output = Response> + Send>>;
type HandOver = fn(Marks, Rest);

/// Answers as soon as the handler has begun, and sends the rest of the handler's future to the
/// test.
async fn answers_early(
    State((marks, hand_over)): State<(Marks, HandOver)>,
    request: Request,
    next: Next,
) -> Response {
    let mut rest: Rest = Box::pin(next.run(request));
    tokio::select! {
        biased;
        response = &mut rest => response,
        () = marks.until("begun") => {
            hand_over(marks.clone(), rest);
            http::StatusCode::ACCEPTED.into_response()
        }
    }
}

fn goes_on_elsewhere(marks: Marks, rest: Rest) {
    tokio::spawn(async move {
        let response = rest.await;
        marks.set(format!("answered {}", response.status().as_u16()));
    });
}

fn is_dropped_elsewhere(_marks: Marks, rest: Rest) {
    tokio::spawn(async move { drop(rest) });
}

fn app(marks: &Marks, hand_over: HandOver) -> Router {
    let early = middleware::from_fn_with_state((marks.clone(), hand_over), answers_early);
    Router::new()
        .route("/write", post(write))
        .route("/wait", get(waits_with_a_deadline))
        .route("/hold", post(commits_and_waits))
        .layer(early)
        .with_state(marks.clone())
}

async fn start(marks: &Marks, hand_over: HandOver) -> Server {
    Server::start(app(marks, hand_over)).await
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

#[cancellable(read, deadline = "150ms")]
async fn waits_with_a_deadline(State(marks): State<Marks>) {
    marks.set("begun");
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_goes_on_in_another_task_keeps_its_deadline() {
    let marks = Marks::default();
    let lifecycle = lifecycle().build().unwrap();
    let app = app(&marks, goes_on_elsewhere).layer(lifecycle.layer());
    let request = http::Request::get("/wait").body(Body::empty()).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), 202);
    marks.until("answered 504").await;
}

#[cancellable(read)]
async fn moves_its_write_and_answers(State(marks): State<Marks>) -> &'static str {
    let mut write = Box::pin(write(State(marks.clone())));
    tokio::select! {
        biased;
        _ = &mut write => "landed",
        () = marks.until("begun") => {
            tokio::spawn(write);
            "accepted"
        }
    }
}

#[tokio::test]
async fn a_nested_write_that_was_moved_holds_the_drain() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(moves_its_write_and_answers));
    let server = Server::start(app.with_state(marks.clone())).await;
    assert_eq!(h1::call(server.at, "POST", "/").await.body, "accepted");
    server.lifecycle.shutdown();
    soon("stopping", server.lifecycle.stopping().cancelled()).await;
    assert_eq!(server.lifecycle.in_flight().work.len(), 1);
    marks.set("go");
    let report = server.ended().await;
    assert!(marks.has("ended"), "{report}");
}

#[cancellable(read)]
async fn moves_its_write_and_waits(State(marks): State<Marks>) {
    let mut write = Box::pin(write(State(marks.clone())));
    assert!(futures_util::poll!(&mut write).is_pending());
    tokio::spawn(write);
    #[durable_write]
    async {}.await;
    let _cut = marks.on_drop("cut");
    marks.set("reopened");
    #[cancellable(read)]
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_nested_write_that_was_moved_does_not_shield_its_caller() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(moves_its_write_and_waits));
    let server = Server::start(app.with_state(marks.clone())).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("reopened").await;
    marks.set("go");
    marks.until("ended").await;
    call.hang_up();
    marks.until("cut").await;
    server.stop().await;
}
