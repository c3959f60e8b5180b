//! `ClientGone`: a server that never drops requests reports that a client has left.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{get, post},
};
use followthrough::{
    Cancelled, ClientGone, HandlerPolicy, Lifecycle, LifecycleBuilder, RequestToken, cancellable,
    durable_write,
};
use followthrough_server_tests::{
    Running,
    app::{app, watch},
    recipes::own_server,
    scenarios::{self, SHORT_GRACE},
};
use followthrough_tests::{Marks, h1, lifecycle, soon};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Marks the status of each cancelled request, because the client has left and cannot see it.
fn telling(marks: &Marks) -> impl Fn(&Cancelled, &HandlerPolicy) -> Option<Response> + use<> {
    let marks = marks.clone();
    move |cancelled, policy| {
        let name = policy.name().rsplit("::").next().unwrap_or_default();
        marks.set(format!("{name}: {}", cancelled.status().as_u16()));
        None
    }
}

async fn start(marks: &Marks) -> Running {
    start_with(lifecycle(), marks).await
}

async fn start_with(builder: LifecycleBuilder, marks: &Marks) -> Running {
    Running::with(builder.on_cancelled(telling(marks)), |listener, lifecycle, signal| {
        own_server::serve(listener, app(marks, &lifecycle), lifecycle, signal.comes())
    })
    .await
}

#[tokio::test]
async fn a_read_ends_with_its_client() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let call = h1::raw(server.at, "GET /read\n").await;
    marks.until("read: begun").await;
    call.hang_up();
    marks.until("read: client_disconnected").await;
    marks.until("read: dropped").await;
    marks.until("read: 499").await;
    let report = server.stop().await;
    assert!(!marks.has("read: done"));
    assert_eq!(report.cancelled.client_disconnected, 1, "{report}");
}

#[tokio::test]
async fn a_begun_write_follows_through() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let left = h1::raw(server.at, "POST /write\n").await;
    marks.until("write: begun").await;
    let reading = h1::raw(server.at, "GET /read\n").await;
    marks.until("read: begun").await;
    left.hang_up();
    reading.hang_up();
    // The server has noticed that both clients left.
    marks.until("read: client_disconnected").await;
    assert_eq!(server.lifecycle.in_flight().work.len(), 1);
    marks.set("go");
    let report = server.stop().await;
    assert!(marks.has("write: done"));
    // The server did not drop the write, so its answer stands.
    assert_eq!(
        (report.durable.completed, report.cancelled.client_disconnected),
        (1, 1),
        "{report}"
    );
}

#[tokio::test]
async fn a_stream_ends_with_its_client() {
    let marks = Marks::default();
    let server = start(&marks).await;
    for path in ["stream", "deaf"] {
        let mut call = h1::raw(server.at, &format!("GET /{path}\n")).await;
        call.until("first").await;
        call.hang_up();
    }
    marks.until("stream: client_disconnected").await;
    marks.until("stream: dropped").await;
    marks.until("deaf stream: dropped").await;
    let report = server.stop().await;
    assert_eq!(report.cancelled.client_disconnected, 2, "{report}");
}

#[tokio::test]
async fn a_signal_ends_reads_and_lets_writes_land() {
    let marks = Marks::default();
    let mut server = start(&marks).await;
    let mut read = h1::raw(server.at, "GET /read\n").await;
    let mut write = h1::raw(server.at, "POST /write\n").await;
    let mut stream = h1::raw(server.at, "GET /deaf\n").await;
    marks.until("read: begun").await;
    marks.until("write: begun").await;
    stream.until("first").await;
    server.signal();
    read.until(r#""status":503"#).await;
    stream.ends().await;
    server.refuses().await;
    marks.set("go");
    write.until("written").await;
    let report = server.ended().await;
    assert_eq!((report.durable.completed, report.cancelled.shutting_down), (1, 2), "{report}");
}

#[tokio::test]
async fn a_worker_that_fails_stops_the_server() {
    scenarios::a_worker_that_fails_stops_the_server(start, "POST /write\n").await;
}

#[tokio::test]
async fn a_write_that_never_ends_is_named() {
    let start = async |marks: &Marks| start_with(lifecycle().grace(SHORT_GRACE), marks).await;
    scenarios::a_write_that_never_ends_is_named(start, "POST /write\n").await;
}

#[tokio::test]
async fn a_response_may_be_sent_to_its_end() {
    scenarios::a_response_may_be_sent_to_its_end(start, "GET /big\n").await;
}

#[cancellable(read)]
async fn touch(State(marks): State<Marks>) -> &'static str {
    marks.set("touched");
    "touched"
}

#[durable_write]
async fn touch_and_land(State(marks): State<Marks>) -> &'static str {
    marks.set("touched");
    "touched"
}

fn request(method: &str, gone: &CancellationToken) -> Request<Body> {
    let mut request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
    request.extensions_mut().insert(ClientGone::new(gone.clone()));
    request
}

fn linked(app: Router) -> (Lifecycle, Router) {
    let lifecycle = lifecycle().build().unwrap();
    let app = app.layer(lifecycle.layer());
    (lifecycle, app)
}

#[tokio::test]
async fn law_03_a_client_that_was_gone_before_the_first_poll_is_not_served() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(touch).post(touch_and_land)).with_state(marks.clone());
    let (lifecycle, app) = linked(app);
    for method in ["GET", "POST"] {
        let gone = CancellationToken::new();
        gone.cancel();
        let response = app.clone().oneshot(request(method, &gone)).await.unwrap();
        assert_eq!(response.status().as_u16(), 499, "{method}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("not_begun"), "{method}: {body:?}");
    }
    assert_eq!(marks.all(), [""; 0]);
    lifecycle.shutdown();
    let report = soon("the drain", lifecycle.drained()).await;
    assert_eq!((report.cancelled.client_disconnected, report.durable.begun), (2, 0), "{report}");
}

/// The tokens of requests that have ended.
type Kept = Arc<Mutex<Vec<RequestToken>>>;

#[cancellable(read)]
async fn short(State((marks, kept)): State<(Marks, Kept)>, token: RequestToken) -> &'static str {
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
async fn law_12_a_client_that_leaves_with_the_whole_response_fires_nothing() {
    let (marks, kept) = (Marks::default(), Kept::default());
    let app = Router::new()
        .route("/", get(short).post(no_content))
        .with_state((marks.clone(), kept.clone()));
    let (lifecycle, app) = linked(app);
    for method in ["GET", "HEAD", "POST"] {
        let gone = CancellationToken::new();
        let response = app.clone().oneshot(request(method, &gone)).await.unwrap();
        let mut body = response.into_body();
        if method == "GET" {
            // The only frame is taken, and the body is not dropped yet.
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "short");
        }
        gone.cancel();
        assert!(body.frame().await.is_none(), "{method}");
    }
    lifecycle.shutdown();
    soon("the drain", lifecycle.drained()).await;
    let fired = |token: &RequestToken| token.is_cancelled() || token.token().is_cancelled();
    assert!(!kept.lock().unwrap().iter().any(fired));
    assert_eq!((kept.lock().unwrap().len(), marks.all().len()), (3, 0));
}

#[cancellable(read)]
async fn wait(token: RequestToken) -> &'static str {
    token.cancelled().await;
    std::future::pending().await
}

#[tokio::test]
async fn one_client_gone_token_serves_all_requests_of_a_connection() {
    let (marks, kept) = (Marks::default(), Kept::default());
    let app =
        Router::new().route("/", get(short).post(wait)).with_state((marks.clone(), kept.clone()));
    let (lifecycle, app) = linked(app);
    let gone = CancellationToken::new();
    let first = app.clone().oneshot(request("GET", &gone)).await.unwrap();
    assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "short");
    let second = tokio::spawn(app.oneshot(request("POST", &gone)));
    gone.cancel();
    assert_eq!(soon("the answer", second).await.unwrap().unwrap().status().as_u16(), 499);
    assert!(!kept.lock().unwrap()[0].is_cancelled());
    lifecycle.shutdown();
    assert_eq!(soon("the drain", lifecycle.drained()).await.cancelled.client_disconnected, 1);
}

#[cancellable(read)]
async fn write_within(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    watch(&marks, "token", token);
    #[durable_write]
    {
        marks.set("begun");
        marks.until("go").await;
    }
    marks.set("landed");
    "landed"
}

#[tokio::test]
async fn law_08_the_answer_of_a_body_past_its_point_of_no_return_stands() {
    let marks = Marks::default();
    let (lifecycle, app) =
        linked(Router::new().route("/", post(write_within)).with_state(marks.clone()));
    let gone = CancellationToken::new();
    let answer = tokio::spawn(app.oneshot(request("POST", &gone)));
    marks.until("begun").await;
    gone.cancel();
    marks.until("token: client_disconnected").await;
    marks.set("go");
    let answer = soon("the answer", answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    drop(answer);
    assert_eq!(marks.all(), ["begun", "token: client_disconnected", "go", "landed"]);
    lifecycle.shutdown();
    soon("the drain", lifecycle.drained()).await;
}
