//! Laws 1 to 6: the effects of a signal, and the answers to the client.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use followthrough::{
    Cause, Outcome, RequestToken, cancellable, durable_write, report::CancelledRequests,
};
use followthrough_tests::{Marks, Server, h1, h2c, lifecycle, soon};
use http::request::Parts;
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt};

const MS: Duration = Duration::from_millis(1);

#[durable_write]
async fn write_until_told(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    marks.set("written");
    "written"
}

#[cancellable(read)]
async fn read_for_ever(State(marks): State<Marks>) -> &'static str {
    let _dropped = marks.on_drop("dropped");
    marks.set("reading");
    std::future::pending().await
}

/// Sends a request to an app without a server.
async fn in_process(app: &mut Router, method: &str, path: &str) -> Response {
    let request = http::Request::builder().method(method).uri(path).body(Body::empty());
    let Ok(service) = ServiceExt::<http::Request<Body>>::ready(app).await;
    let Ok(response) = service.call(request.expect("a sound request")).await;
    response
}

async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a whole body");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn law_01_the_first_cause_never_changes() {
    let (token, handle) = RequestToken::new_pair();
    assert_eq!(handle.cancel(Cause::DeadlineExceeded), Cause::DeadlineExceeded);
    assert_eq!(handle.cancel(Cause::ClientDisconnected), Cause::DeadlineExceeded);
    assert_eq!(token.cause(), Some(Cause::DeadlineExceeded));
}

#[tokio::test]
async fn law_01_the_status_follows_from_the_signal_that_ended_the_wait() {
    let (marks, told) = (Marks::default(), Arc::new(Mutex::new(Vec::new())));
    let hook = told.clone();
    let builder = lifecycle().on_cancelled(move |cancelled, policy| {
        let name = policy.name().rsplit("::").next().unwrap_or_default();
        let line = (name.to_owned(), cancelled.cause(), cancelled.status().as_u16());
        hook.lock().unwrap().push(line);
        None
    });
    let app = Router::new().route("/", post(write_until_told)).with_state(marks.clone());
    let server = Server::with(builder, app).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    let stopping = server.lifecycle.stopping();
    server.lifecycle.shutdown();
    soon("stopping", stopping.cancelled()).await;
    call.hang_up();
    // The hook runs once the server has noticed.
    soon("the hook", async {
        while told.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    marks.set("go");
    marks.until("written").await;
    assert_eq!(server.ended().await.durable.followed_through, 1);
    // The shutdown came first, and the disconnect ended the wait.
    let told = told.lock().unwrap().clone();
    assert_eq!(told, [("write_until_told".to_owned(), Cause::ShuttingDown, 499)]);
}

#[cancellable(read)]
#[deadline = "100ms"]
async fn exactly_as_long_as_the_deadline() -> &'static str {
    sleep(100 * MS).await;
    "in time"
}

#[cancellable(read)]
#[deadline = "100ms"]
async fn longer_than_the_deadline() -> &'static str {
    sleep(101 * MS).await;
    "too late"
}

#[tokio::test(start_paused = true)]
async fn law_02_completion_wins_a_tie() {
    for _ in 0..50 {
        let result = exactly_as_long_as_the_deadline().await.into_result();
        assert_eq!(result, Ok("in time"));
    }
    let cancelled = longer_than_the_deadline().await.into_result().unwrap_err();
    assert_eq!((cancelled.cause(), cancelled.status().as_u16()), (Cause::DeadlineExceeded, 504));
}

#[cancellable(read)]
async fn read_if_polled(State(marks): State<Marks>, _token: RequestToken) -> &'static str {
    marks.set("polled");
    "read"
}

#[durable_write]
async fn write_if_polled(_slow: SlowExtractor, State(marks): State<Marks>) -> &'static str {
    marks.set("polled");
    "written"
}

/// An extractor that takes 80 ms, as an upload does.
struct SlowExtractor;

impl<S: Send + Sync> FromRequestParts<S> for SlowExtractor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        sleep(80 * MS).await;
        Ok(Self)
    }
}

#[tokio::test]
async fn law_03_a_body_that_is_cancelled_already_is_never_polled() {
    let marks = Marks::default();
    let (token, handle) = RequestToken::new_pair();
    handle.cancel(Cause::ClientDisconnected);
    let cancelled = read_if_polled(State(marks.clone()), token).await.into_result().unwrap_err();
    assert_eq!(cancelled.outcome(), Outcome::NotBegun);
    assert_eq!(marks.all(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn law_03_a_body_whose_deadline_has_passed_is_never_polled() {
    let marks = Marks::default();
    let lifecycle = lifecycle().default_deadline(50 * MS).build().unwrap();
    let app = Router::new().route("/", post(write_if_polled)).with_state(marks.clone());
    let mut app = app.layer(lifecycle.layer());
    let response = in_process(&mut app, "POST", "/").await;
    assert_eq!(response.status(), 504);
    assert!(text(response).await.contains(r#""outcome":"not_begun""#));
    assert_eq!(marks.all(), [""; 0]);
}

#[cancellable(read)]
#[deadline = "3s"]
async fn tell_what_remains(token: RequestToken) -> String {
    let handler = token.remaining();
    #[deadline = "1s"]
    let site = async { token.remaining() }.await;
    let after = token.remaining();
    format!("{:?} {:?} {:?}", handler.unwrap(), site.unwrap(), after.unwrap())
}

#[tokio::test(start_paused = true)]
async fn law_04_the_effective_deadline_is_the_least_of_all() {
    for (default, expected) in [(5000, "3s 1s 3s"), (2000, "2s 1s 2s"), (500, "500ms 500ms 500ms")]
    {
        let lifecycle = lifecycle().default_deadline(default * MS).build().unwrap();
        let app = Router::new().route("/", get(tell_what_remains)).layer(lifecycle.layer());
        let response = in_process(&mut app.clone(), "GET", "/").await;
        assert_eq!(text(response).await, expected, "router default {default} ms");
    }
}

#[cancellable(read)]
#[deadline = "3s"]
async fn wait_for_ever() -> &'static str {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn law_04_the_nearest_deadline_ends_the_handler() {
    for (default, expected) in [(500, 500), (3000, 3000), (60_000, 3000)] {
        let lifecycle = lifecycle().default_deadline(default * MS).build().unwrap();
        let mut app = Router::new().route("/", get(wait_for_ever)).layer(lifecycle.layer());
        let begun = Instant::now();
        assert_eq!(in_process(&mut app, "GET", "/").await.status(), 504);
        let waited = begun.elapsed().as_millis();
        // A timer fires at most one millisecond late.
        assert!((expected..=expected + 1).contains(&waited), "{default} ms: {waited} ms");
    }
}

#[cancellable(read)]
#[deadline = "10s"]
async fn site_runs_out(State(marks): State<Marks>) -> &'static str {
    let begun = Instant::now();
    let _dropped = marks.on_drop("dropped");
    marks.set(format!("{:?}", begun.elapsed()));
    #[deadline = "1s"]
    sleep(5000 * MS).await;
    "not reached"
}

#[tokio::test(start_paused = true)]
async fn law_04_the_deadline_of_a_statement_ends_the_handler() {
    let (marks, begun) = (Marks::default(), Instant::now());
    let cancelled = site_runs_out(State(marks.clone())).await.into_result().unwrap_err();
    assert_eq!(cancelled.cause(), Cause::DeadlineExceeded);
    assert_eq!(begun.elapsed().as_secs(), 1);
    assert!(marks.has("dropped"));
}

#[cancellable(read, deadline = "50ms")]
async fn read_too_long() -> &'static str {
    std::future::pending().await
}

#[tokio::test]
async fn law_05_a_deadline_answers_504_as_a_problem() {
    let server = Server::start(Router::new().route("/", get(read_too_long))).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("retry-after"), None);
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], 504);
    assert_eq!(problem["cause"], "deadline_exceeded");
    assert_eq!(problem["outcome"], "not_begun");
    let answer = h2c::connect(server.at).await.send("GET", "/").await.answer().await;
    assert_eq!(answer.status, 504);
    server.stop().await;
}

#[tokio::test]
async fn law_05_shutdown_answers_503_with_retry_after() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(read_for_ever)).with_state(marks.clone());
    let server = Server::start(app).await;
    let mut over_1 = h1::send(server.at, "GET", "/").await;
    marks.until("reading").await;
    let mut connection = h2c::connect(server.at).await;
    let over_2 = connection.send("GET", "/").await;
    while server.lifecycle.in_flight().requests < 2 {
        tokio::task::yield_now().await;
    }
    server.lifecycle.shutdown();
    let answer = over_1.answer().await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("connection"), Some("close"));
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["cause"], "shutting_down");
    let answer = over_2.answer().await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!answer.headers.contains_key("connection"));
    marks.until("dropped").await;
    assert_eq!(server.ended().await.cancelled.shutting_down, 2);
}

#[tokio::test]
async fn law_05_a_disconnect_is_a_499_that_only_the_hook_sees() {
    let (marks, seen) = (Marks::default(), Marks::default());
    let hook = seen.clone();
    let builder = lifecycle().on_cancelled(move |cancelled, _| {
        hook.set(format!("{} {}", cancelled.status().as_u16(), cancelled.cause()));
        None
    });
    let app = Router::new().route("/", get(read_for_ever)).with_state(marks.clone());
    let server = Server::with(builder, app).await;
    let call = h1::send(server.at, "GET", "/").await;
    marks.until("reading").await;
    call.hang_up();
    marks.until("dropped").await;
    seen.until("499 client_disconnected").await;
    let mut connection = h2c::connect(server.at).await;
    connection.send("GET", "/").await.reset();
    let report = server.stop().await;
    assert!(report.abandoned.is_empty(), "{report}");
}

#[tokio::test]
async fn law_05_the_hook_may_replace_the_answer() {
    let builder = lifecycle().on_cancelled(|cancelled, policy| {
        let name = policy.name().rsplit("::").next()?;
        Some(
            (http::StatusCode::IM_A_TEAPOT, format!("{name} {}", cancelled.cause()))
                .into_response(),
        )
    });
    let server = Server::with(builder, Router::new().route("/", get(read_too_long))).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!((answer.status, &*answer.body), (418, "read_too_long deadline_exceeded"));
    server.stop().await;
}

/// A body in two parts. The second part waits for the test.
fn in_two_parts(marks: Marks) -> Body {
    let parts = futures_util::stream::unfold(0, move |part| {
        let marks = marks.clone();
        async move {
            match part {
                0 => Some((Ok::<_, std::io::Error>(Bytes::from("first ")), 1)),
                1 => {
                    marks.until("go").await;
                    Some((Ok(Bytes::from("second")), 2))
                }
                _ => None,
            }
        }
    });
    Body::from_stream(parts)
}

#[cancellable(read, deadline = "100ms")]
async fn answer_in_two_parts(State(marks): State<Marks>, token: RequestToken) -> Body {
    let late = marks.clone();
    tokio::spawn(async move {
        token.cancelled().await;
        late.set("token fired");
    });
    in_two_parts(marks)
}

#[tokio::test]
async fn law_06_a_response_that_was_produced_stands() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(answer_in_two_parts)).with_state(marks.clone());
    let server = Server::start(app).await;
    let mut call = h1::send(server.at, "GET", "/").await;
    call.until("first").await;
    server.lifecycle.shutdown();
    soon("stopping", server.lifecycle.stopping().cancelled()).await;
    sleep(150 * MS).await;
    marks.set("go");
    call.until("second").await;
    let report = server.ended().await;
    assert_eq!(report.cancelled, CancelledRequests::default());
}
