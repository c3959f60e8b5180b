//! The answers and the log say whether work goes on after its client has stopped waiting.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use followthrough::{RequestToken, cancellable, durable_write};
use followthrough_tests::{Log, Marks, Server, h1, soon};
use http::{StatusCode, request::Parts};
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

const MS: Duration = Duration::from_millis(1);

#[cancellable(idempotent_write, deadline = "50ms")]
async fn dropped() {
    std::future::pending::<()>().await;
}

async fn undo() {
    yield_now().await;
}

#[cancellable(reversible_write, on_cancel = undo(), deadline = "50ms")]
async fn undone() {
    std::future::pending::<()>().await;
}

#[durable_write(deadline = "50ms")]
async fn goes_on() {
    sleep(100 * MS).await;
}

#[cancellable(idempotent_write, cooperative, deadline = "50ms")]
async fn cooperates(token: RequestToken) {
    token.cancelled().await;
    yield_now().await;
}

#[tokio::test]
async fn law_09_a_504_says_whether_the_work_goes_on() {
    let app = Router::new()
        .route("/dropped", post(dropped))
        .route("/undone", post(undone))
        .route("/goes_on", post(goes_on))
        .route("/cooperates", post(cooperates));
    let server = Server::start(app).await;
    let goes_on = "the deadline passed and the work goes on; ask before repeating it";
    for (path, detail) in [
        (
            "/dropped",
            "the deadline passed and the work was stopped where it was: some of it may have landed, and it \
             may be repeated",
        ),
        ("/undone", "the deadline passed and the work is being undone; ask before repeating it"),
        ("/goes_on", goes_on),
        ("/cooperates", goes_on),
    ] {
        let answer = h1::call(server.at, "POST", path).await;
        assert_eq!(answer.status, 504, "{path}");
        assert!(answer.body.contains(&format!(r#""detail":"{detail}""#)), "{}", answer.body);
        assert!(answer.body.contains(r#""outcome":"unknown""#), "{}", answer.body);
    }
    server.stop().await;
}

#[durable_write(max_in_flight = 1)]
async fn charges(State(marks): State<Marks>) {
    marks.set("charging");
    marks.until("go").await;
    marks.set("charged");
}

#[cancellable(read)]
async fn looks_then_charges(State(marks): State<Marks>) {
    #[durable_write]
    {
        marks.set("charging");
        marks.until("go").await;
        marks.set("charged");
    }
}

/// A time-out and a second attempt, as tower's `timeout` and `retry` make them.
async fn tries_twice(State(marks): State<Marks>, request: Request, next: Next) -> Response {
    let (parts, _) = request.into_parts();
    let again = |parts: &http::request::Parts| Request::from_parts(parts.clone(), "".into());
    if let Ok(response) = timeout(100 * MS, next.clone().run(again(&parts))).await {
        return response;
    }
    marks.set("given up");
    marks.until("try again").await;
    next.run(again(&parts)).await
}

#[tokio::test]
async fn law_08_a_retry_beside_its_own_write_is_never_told_to_try_again() {
    for (path, stops) in [("/charge", false), ("/charge", true), ("/look", true)] {
        let marks = Marks::default();
        let app = Router::new()
            .route("/charge", post(charges))
            .route("/look", post(looks_then_charges))
            .layer(middleware::from_fn_with_state(marks.clone(), tries_twice))
            .with_state(marks.clone());
        let server = Server::start(app).await;
        let mut call = h1::send(server.at, "POST", path).await;
        marks.until("given up").await;
        if stops {
            server.lifecycle.shutdown();
            soon("stopping", server.lifecycle.stopping().cancelled()).await;
        }
        marks.set("try again");
        let answer = call.answer().await;
        assert_eq!(answer.status, 504, "{path} {stops}: {}", answer.body);
        assert_eq!(answer.header("retry-after"), None, "{path} {stops}: {}", answer.head);
        let cause = if stops { "shutting_down" } else { "limit_reached" };
        assert!(answer.body.contains(&format!(r#""cause":"{cause}""#)), "{}", answer.body);
        assert!(answer.body.contains(r#""outcome":"unknown""#), "{}", answer.body);
        assert!(answer.body.contains("ask before repeating it"), "{}", answer.body);
        marks.set("go");
        let report = server.stop().await;
        assert!(marks.has("charged"), "{report}");
        assert_eq!((report.durable.begun, report.durable.completed), (1, 1), "{report}");
    }
}

#[durable_write]
async fn charges_and_fails(State(marks): State<Marks>) -> StatusCode {
    marks.set("charged");
    StatusCode::INTERNAL_SERVER_ERROR
}

#[cancellable(idempotent_write)]
async fn charges_then_waits(State(marks): State<Marks>) -> StatusCode {
    if marks.has("charged") {
        std::future::pending::<()>().await;
    }
    #[durable_write]
    yield_now().await;
    marks.set("charged");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn tries_what_failed_again(
    State(marks): State<Marks>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, _) = request.into_parts();
    let again = |parts: &http::request::Parts| Request::from_parts(parts.clone(), "".into());
    assert!(next.clone().run(again(&parts)).await.status().is_server_error());
    marks.set("failed");
    if parts.uri.path() == "/charge" {
        marks.until("try again").await;
    }
    next.run(again(&parts)).await
}

#[tokio::test]
async fn law_08_a_retry_after_its_own_write_is_never_told_to_try_again() {
    for path in ["/charge", "/wait"] {
        let marks = Marks::default();
        let app = Router::new()
            .route("/charge", post(charges_and_fails))
            .route("/wait", post(charges_then_waits))
            .layer(middleware::from_fn_with_state(marks.clone(), tries_what_failed_again))
            .with_state(marks.clone());
        let server = Server::start(app).await;
        let mut call = h1::send(server.at, "POST", path).await;
        marks.until("failed").await;
        server.lifecycle.shutdown();
        soon("stopping", server.lifecycle.stopping().cancelled()).await;
        marks.set("try again");
        let answer = call.answer().await;
        assert_eq!(answer.status, 504, "{path}: {}", answer.body);
        assert_eq!(answer.header("retry-after"), None, "{path}: {}", answer.head);
        assert!(answer.body.contains(r#""outcome":"unknown""#), "{}", answer.body);
        server.ended().await;
    }
}

/// Waits at the third attempt.
struct Third;

impl FromRequestParts<Marks> for Third {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, marks: &Marks) -> Result<Self, Infallible> {
        if marks.has("refused") {
            marks.set("waits");
            marks.until("go").await;
        }
        Ok(Self)
    }
}

#[durable_write]
async fn charges_at_the_third(_: Third, State(marks): State<Marks>) -> StatusCode {
    marks.set("charged");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn tries_three_times(State(marks): State<Marks>, request: Request, next: Next) -> Response {
    let (parts, _) = request.into_parts();
    let again = || next.clone().run(Request::from_parts(parts.clone(), "".into()));
    assert_eq!(again().await.status(), 500);
    marks.set("failed");
    marks.until("try again").await;
    assert_eq!(again().await.status(), 504);
    marks.set("refused");
    again().await
}

#[tokio::test]
async fn law_08_a_third_attempt_after_a_landed_one_is_never_told_to_try_again() {
    let marks = Marks::default();
    let app = followthrough::Router::new()
        .route("/", followthrough::routing::post(charges_at_the_third))
        .layer(middleware::from_fn_with_state(marks.clone(), tries_three_times))
        .with_state(marks.clone());
    let server = Server::start(app.into_axum()).await;
    let mut call = h1::send(server.at, "POST", "/").await;
    marks.until("failed").await;
    server.lifecycle.shutdown();
    soon("stopping", server.lifecycle.stopping().cancelled()).await;
    marks.set("try again");
    marks.until("waits").await;
    marks.set("go");
    let answer = call.answer().await;
    assert_eq!(answer.status, 504, "{}", answer.body);
    assert_eq!(answer.header("retry-after"), None, "{}", answer.head);
    assert!(answer.body.contains(r#""outcome":"unknown""#), "{}", answer.body);
    server.ended().await;
}

#[durable_write(internal)]
async fn writes(marks: Marks) {
    marks.set("begun");
    marks.until("go").await;
    marks.set("landed");
}

async fn panics(marks: Marks) {
    marks.until("begun").await;
    panic!("a sibling panics");
}

#[cancellable(read)]
async fn beside_a_panic(State(marks): State<Marks>) {
    tokio::join!(writes(marks.clone()), panics(marks.clone())).0.into_result().ok();
}

#[tokio::test]
async fn law_07_a_callee_past_its_point_of_no_return_outlives_the_panic_of_a_sibling() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new().route("/", post(beside_a_panic)).with_state(marks.clone());
    let server = Server::start(app).await;
    let mut call = h1::send(server.at, "POST", "/").await;
    call.ends().await;
    let work = server.lifecycle.in_flight().work;
    assert!(work.iter().any(|work| work.detached), "{work:?}");
    marks.set("go");
    marks.until("landed").await;
    let report = server.stop().await;
    assert_eq!(report.durable.followed_through, 1, "{report}");
    assert_eq!(log.with("dropped a durable statement").len(), 0, "{:?}", log.lines());
}

#[durable_write]
async fn writes_in_a_transaction(State(marks): State<Marks>) -> StatusCode {
    marks.set("begun");
    marks.until("go").await;
    marks.set("written");
    StatusCode::CREATED
}

/// Middleware that commits the transaction of a request after its handler, as is common.
async fn transaction(State(marks): State<Marks>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    marks.set("committed");
    response.into_response()
}

#[tokio::test]
async fn the_log_says_that_only_the_body_followed_through() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new()
        .route("/", post(writes_in_a_transaction))
        .layer(middleware::from_fn_with_state(marks.clone(), transaction))
        .with_state(marks.clone());
    let server = Server::start(app).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    call.hang_up();
    soon("detached work", async {
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            yield_now().await;
        }
    })
    .await;
    marks.set("go");
    server.stop().await;
    assert!(marks.has("written") && !marks.has("committed"), "{:?}", marks.all());
    let line = "the handler's body followed through; what middleware does after it does not run";
    assert_eq!(log.with(line).len(), 1, "{:?}", log.lines());
}
