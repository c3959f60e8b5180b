//! Laws 12 and 15 to 17: the reach of a request's token, its costs and its log.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use followthrough::{
    Cause, DurableToken, RequestToken, ShutdownToken, background, cancellable, durable_write,
};
use followthrough_tests::{Log, Marks, Server, h1, h2c, lifecycle, soon};
use http::StatusCode;
use tokio::time::sleep;
use tracing::{Level, Span};

const MS: Duration = Duration::from_millis(1);

/// Marks the cause of a token once the token fires.
fn watch(marks: &Marks, name: &'static str, token: RequestToken) {
    let marks = marks.clone();
    tokio::spawn(async move {
        let cause = token.cancelled().await;
        marks.set(format!("{name}: {cause}"));
    });
}

async fn watching(
    State(marks): State<Marks>,
    token: RequestToken,
    request: Request,
    next: Next,
) -> Response {
    watch(&marks, "middleware", token);
    next.run(request).await
}

#[cancellable(read)]
async fn endless_body(State(marks): State<Marks>, token: RequestToken) -> Body {
    watch(&marks, "handler", token);
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("first"))]);
    Body::from_stream(futures_util::StreamExt::chain(first, futures_util::stream::pending()))
}

#[tokio::test]
async fn law_12_the_token_has_one_identity_and_covers_the_response_body() {
    for over_http2 in [false, true] {
        let marks = Marks::default();
        let app = Router::new()
            .route("/", get(endless_body))
            .layer(middleware::from_fn_with_state(marks.clone(), watching))
            .with_state(marks.clone());
        let server = Server::start(app).await;
        if over_http2 {
            let mut connection = h2c::connect(server.at).await;
            let call = connection.send("GET", "/").await;
            while server.lifecycle.in_flight().requests == 0 {
                tokio::task::yield_now().await;
            }
            call.reset();
        } else {
            let mut call = h1::send(server.at, "GET", "/").await;
            call.until("first").await;
            call.hang_up();
        }
        marks.until("middleware: client_disconnected").await;
        marks.until("handler: client_disconnected").await;
        server.stop().await;
    }
}

/// The tokens of requests that have ended.
type Kept = Arc<Mutex<Vec<RequestToken>>>;

#[cancellable(read)]
async fn short_answer(
    State((marks, kept)): State<(Marks, Kept)>,
    token: RequestToken,
) -> &'static str {
    kept.lock().unwrap().push(token.clone());
    watch(&marks, "short", token);
    "short"
}

#[cancellable(read)]
async fn no_content(State((marks, kept)): State<(Marks, Kept)>, token: RequestToken) -> StatusCode {
    kept.lock().unwrap().push(token.clone());
    watch(&marks, "empty", token);
    StatusCode::NO_CONTENT
}

#[tokio::test]
async fn law_12_the_token_never_fires_after_the_response_was_handed_over() {
    let (marks, kept) = (Marks::default(), Kept::default());
    let app = Router::new()
        .route("/short", get(short_answer))
        .route("/empty", get(no_content))
        .with_state((marks.clone(), kept.clone()));
    let server = Server::start(app).await;
    for (method, path) in [("GET", "/short"), ("HEAD", "/short"), ("GET", "/empty")] {
        let mut call = h1::send(server.at, method, path).await;
        call.until("\r\n\r\n").await;
        call.hang_up();
        let mut connection = h2c::connect(server.at).await;
        assert!(connection.send(method, path).await.answer().await.status.is_success());
        connection.hang_up();
    }
    server.stop().await;
    // No later event can fire a token: the connections are closed and the service has stopped.
    assert_eq!(marks.all(), [""; 0]);
    let fired = |token: &RequestToken| token.is_cancelled() || token.token().is_cancelled();
    assert!(!kept.lock().unwrap().iter().any(fired));
    assert_eq!(kept.lock().unwrap().len(), 6);
}

#[cancellable(stream)]
async fn endless_stream(State(marks): State<Marks>, token: RequestToken) -> Body {
    watch(&marks, "stream", token);
    let ticks = futures_util::stream::unfold((), |()| async {
        sleep(5 * MS).await;
        Some((Ok::<_, std::io::Error>(Bytes::from("tick ")), ()))
    });
    Body::from_stream(ticks)
}

#[tokio::test]
async fn law_12_a_stream_ends_when_the_service_closes() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(endless_stream)).with_state(marks.clone());
    // Streams end at the beginning of the read grace.
    let server = Server::with(lifecycle().read_grace(3000 * MS), app).await;
    let mut over_1 = h1::send(server.at, "GET", "/").await;
    over_1.until("tick").await;
    let mut connection = h2c::connect(server.at).await;
    let over_2 = connection.send("GET", "/").await;
    server.lifecycle.shutdown();
    // A stream without an end of its own does not look whole (law 6).
    let (over_1, over_2) = tokio::join!(over_1.rest(), over_2.answer());
    assert!(!over_1.ends_with("0\r\n\r\n") && !over_2.whole);
    marks.until("stream: shutting_down").await;
    let report = server.ended().await;
    assert!(report.elapsed < 2000 * MS, "{report}");
}

#[cancellable(read, deadline = "10s")]
async fn wait_with_a_deadline(State(marks): State<Marks>) -> &'static str {
    marks.set("waiting");
    marks.until("go").await;
    "done"
}

#[durable_write]
async fn write_and_wait(State(marks): State<Marks>) -> &'static str {
    marks.set("waiting");
    marks.until("go").await;
    "done"
}

#[tokio::test]
async fn law_15_nothing_is_spawned_for_a_request() {
    let marks = Marks::default();
    let app = Router::new()
        .route("/", get(wait_with_a_deadline).post(write_and_wait))
        .with_state(marks.clone());
    let lifecycle = lifecycle().build().unwrap();
    let app = app.layer(lifecycle.layer());
    for method in ["GET", "POST"] {
        let marks_before = marks.all().len();
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let request = http::Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
        let mut call = Box::pin(tower::ServiceExt::oneshot(app.clone(), request));
        assert!(futures_util::poll!(&mut call).is_pending());
        assert_eq!(marks.all().len(), marks_before + 1, "{method} is waiting in its body");
        assert_eq!(tasks(), before, "{method}");
    }
}

#[cancellable(read)]
async fn read_for_ever(State(marks): State<Marks>) -> &'static str {
    let _dropped = marks.on_drop("dropped");
    marks.set("reading");
    std::future::pending().await
}

#[cancellable(read, deadline = "20ms")]
async fn read_too_long() -> &'static str {
    std::future::pending().await
}

#[tokio::test]
async fn law_16_a_cancellation_is_logged_once_at_its_level() {
    for (cause, level) in [
        (Cause::ClientDisconnected, Level::DEBUG),
        (Cause::ShuttingDown, Level::INFO),
        (Cause::DeadlineExceeded, Level::WARN),
    ] {
        let (log, marks) = (Log::capture(), Marks::default());
        let app = Router::new()
            .route("/", get(read_for_ever))
            .route("/late", get(read_too_long))
            .with_state(marks.clone());
        let server = Server::start(app).await;
        match cause {
            Cause::DeadlineExceeded => {
                h1::call(server.at, "GET", "/late").await;
            }
            Cause::ShuttingDown => {
                let mut call = h1::send(server.at, "GET", "/").await;
                marks.until("reading").await;
                server.lifecycle.shutdown();
                call.answer().await;
            }
            _ => {
                let call = h1::send(server.at, "GET", "/").await;
                marks.until("reading").await;
                call.hang_up();
                marks.until("dropped").await;
            }
        }
        server.stop().await;
        let lines = log.with("request cancelled");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].level, level);
        assert!(lines[0].text.contains(&format!("cause={cause}")), "{lines:?}");
        assert!(lines[0].text.contains("laws::responses::read_"), "{lines:?}");
    }
}

/// A future that enters its span for polls and not for its drop, as tower-http's trace layer does.
struct Traced<F>(Pin<Box<F>>, Span);

impl<F: Future> Future for Traced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let span = self.1.clone();
        let _entered = span.enter();
        self.0.as_mut().poll(cx)
    }
}

#[tokio::test]
async fn law_16_a_disconnect_is_logged_in_the_span_of_its_request() {
    let (log, marks) = (Log::capture(), Marks::default());
    let traced = async |request: Request, next: Next| {
        Traced(Box::pin(next.run(request)), tracing::info_span!("request")).await
    };
    let app = Router::new().route("/", get(read_for_ever)).with_state(marks.clone());
    let server = Server::start(app.layer(middleware::from_fn(traced))).await;
    let call = h1::send(server.at, "GET", "/").await;
    marks.until("reading").await;
    call.hang_up();
    marks.until("dropped").await;
    server.stop().await;
    assert_eq!(log.with("request cancelled")[0].spans, ["request"]);
}

async fn undo(marks: Marks) {
    marks.set("undoing");
    sleep(60 * MS).await;
    marks.set("undone");
}

#[cancellable(reversible_write, deadline = "20ms", on_cancel = undo(marks.clone()))]
async fn hold(State(marks): State<Marks>) -> &'static str {
    marks.set("held");
    std::future::pending().await
}

#[cancellable(read, deadline = "20ms")]
async fn write_past_the_deadline(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    assert!(token.deadline().is_some());
    #[durable_write]
    write(&marks, &token).await;
    "written"
}

async fn write(marks: &Marks, token: &DurableToken) {
    assert_eq!(token.deadline(), None);
    marks.until("answered").await;
    assert!(!token.is_cancelled());
    marks.set("written");
}

#[background]
async fn relay(stop: ShutdownToken, marks: Marks) {
    assert_eq!(stop.deadline(), None);
    stop.cancelled().await;
    marks.set("relay stopped");
}

#[tokio::test]
async fn law_17_work_that_outlives_the_wait_does_not_inherit_its_deadline() {
    let marks = Marks::default();
    let app = Router::new()
        .route("/hold", post(hold))
        .route("/write", post(write_past_the_deadline))
        .with_state(marks.clone());
    let server = Server::with(lifecycle().default_deadline(500 * MS), app).await;
    let worker = marks.clone();
    server.lifecycle.spawn("relay", |stop| relay(stop, worker));
    assert_eq!(h1::call(server.at, "POST", "/hold").await.status, 504);
    assert_eq!(h1::call(server.at, "POST", "/write").await.status, 504);
    marks.set("answered");
    marks.until("undone").await;
    marks.until("written").await;
    // Longer than any deadline here.
    sleep(600 * MS).await;
    assert!(!marks.has("relay stopped"));
    let report = soon("the drain", server.stop()).await;
    assert!(marks.has("relay stopped"));
    assert_eq!(report.exit_code(), 0, "{report}");
}

/// Answers in one frame, of which a client with the default window takes a quarter.
#[cancellable(read)]
async fn long_frame(State(marks): State<Marks>, token: RequestToken) -> Bytes {
    watch(&marks, "handler", token);
    Bytes::from(vec![b'x'; 256 << 10])
}

#[tokio::test]
async fn law_12_the_token_covers_every_piece_of_a_long_frame_over_http2() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(long_frame)).with_state(marks.clone());
    let server = Server::start(app).await;
    let mut connection = h2c::connect(server.at).await;
    connection.send("GET", "/").await.begins().await.reset();
    marks.until("handler: client_disconnected").await;
    server.stop().await;
}
