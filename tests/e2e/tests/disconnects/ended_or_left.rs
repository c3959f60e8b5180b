//! How requests that ended well are told from clients that left: under a layer, with streams, and
//! in rare forms of HTTP.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use followthrough::{RequestToken, cancellable};
use followthrough_tests::{Log, Marks, Server, h1, lifecycle, soon};
use tokio::{net::TcpListener, task::yield_now, time::Instant};
use tower::{Layer, Service, ServiceExt};

/// The token of a request that has ended.
type Kept = Arc<Mutex<Option<RequestToken>>>;

fn has_fired(kept: &Kept) -> bool {
    let token = kept.lock().unwrap().take().expect("the handler has run");
    token.is_cancelled() || token.token().is_cancelled()
}

#[cancellable(stream)]
async fn endless_stream() -> Body {
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("first"))]);
    Body::from_stream(futures_util::StreamExt::chain(first, futures_util::stream::pending()))
}

#[tokio::test]
async fn a_stream_under_another_server_ends_when_the_service_closes() {
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new().route("/", get(endless_stream)).layer(lifecycle.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    let mut call = h1::send(at, "GET", "/").await;
    call.until("first").await;
    lifecycle.shutdown();
    assert!(!call.rest().await.contains("0\r\n\r\n"), "no last chunk: it is not whole");
    let report = soon("the drain", lifecycle.drained()).await;
    assert!(report.abandoned.is_empty(), "{report}");
    server.abort();
}

#[cancellable(read)]
async fn count_polls(State(polls): State<Arc<AtomicUsize>>) -> &'static str {
    poll_fn(|_| {
        polls.fetch_add(1, SeqCst);
        Poll::Pending
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn under_another_server_closing_wakes_streams_and_stopping_reads() {
    const READ_GRACE: Duration = Duration::from_secs(2);
    let lifecycle = lifecycle().read_grace(READ_GRACE).build().unwrap();
    let polls = Arc::<AtomicUsize>::default();
    let app = Router::new().route("/read", get(count_polls)).with_state(polls.clone());
    let app = app.route("/stream", get(endless_stream)).layer(lifecycle.layer());
    let call = |path| app.clone().oneshot(http::Request::get(path).body(Body::empty()).unwrap());
    let read = tokio::spawn(call("/read"));
    let stream = call("/stream").await.unwrap().into_body();
    let stream = tokio::spawn(to_bytes(stream, usize::MAX));
    while polls.load(SeqCst) == 0 {
        yield_now().await;
    }
    let begun = Instant::now();
    lifecycle.shutdown();
    let cut = stream.await.unwrap().unwrap_err();
    assert!(cut.to_string().contains("cut before its end: shutting_down"), "{cut}");
    assert!(begun.elapsed() < READ_GRACE);
    assert_eq!(polls.load(SeqCst), 1, "woken for a signal that cannot end it");
    assert_eq!(read.await.unwrap().unwrap().status(), 503);
    assert!(begun.elapsed() >= READ_GRACE);
    assert_eq!(polls.load(SeqCst), 2, "once, before it is cut");
    soon("the drain", lifecycle.drained()).await;
}

#[cancellable(stream)]
async fn announces_an_empty_stream(State(kept): State<Kept>, token: RequestToken) -> Response {
    *kept.lock().unwrap() = Some(token);
    let body = Body::from_stream(futures_util::stream::empty::<Result<Bytes, std::io::Error>>());
    ([(http::header::CONTENT_LENGTH, "0")], body).into_response()
}

#[tokio::test]
async fn an_empty_body_is_whole_without_being_read() {
    let kept = Kept::default();
    let app = Router::new().route("/", get(announces_an_empty_stream)).with_state(kept.clone());
    let server = Server::start(app).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 200);
    let report = server.stop().await;
    assert_eq!(report.cancelled.client_disconnected, 0, "{report}");
    assert!(!has_fired(&kept));
}

#[cancellable(stream)]
async fn short_stream(State(kept): State<Kept>, token: RequestToken) -> Body {
    *kept.lock().unwrap() = Some(token);
    Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("x"))]))
}

#[tokio::test]
async fn a_head_request_is_over_without_its_body() {
    let kept = Kept::default();
    let unlinked = Router::new().route("/", get(short_stream)).with_state(kept.clone());
    let lifecycle = lifecycle().build().unwrap();
    let layered = unlinked.clone().layer(lifecycle.layer());
    for app in [unlinked, layered] {
        let request = http::Request::head("/").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        drop(response);
        assert!(!has_fired(&kept));
    }
}

#[cancellable(read)]
async fn read_for_ever(State(marks): State<Marks>) -> &'static str {
    let _dropped = marks.on_drop("dropped");
    marks.set("reading");
    std::future::pending().await
}

#[tokio::test]
async fn the_layer_within_serve_counts_and_logs_once() {
    let (log, marks) = (Log::capture(), Marks::default());
    let lifecycle = lifecycle().build().unwrap();
    let router = Router::new().route("/", get(read_for_ever)).with_state(marks.clone());
    let app = lifecycle.layer().layer(router);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    let server = tokio::spawn(serve.into_future());
    let call = h1::send(at, "GET", "/").await;
    marks.until("reading").await;
    assert_eq!(lifecycle.in_flight().requests, 1);
    call.hang_up();
    marks.until("dropped").await;
    lifecycle.shutdown();
    let report = soon("the end", server).await.unwrap().unwrap();
    assert_eq!(report.cancelled.client_disconnected, 1, "{report}");
    assert_eq!(log.with("request cancelled").len(), 1, "{:?}", log.lines());
}

#[tokio::test]
async fn a_request_that_ends_in_a_service_error_is_not_cancelled() {
    let kept = Kept::default();
    let lifecycle = lifecycle().build().unwrap();
    let keeps = kept.clone();
    let mut service = lifecycle.layer().layer(tower::service_fn(move |request: Request| {
        let keeps = keeps.clone();
        async move {
            let (mut parts, _body) = request.into_parts();
            let token = RequestToken::from_request_parts(&mut parts, &()).await.unwrap();
            *keeps.lock().unwrap() = Some(token);
            Err::<Response, _>("no")
        }
    }));
    let result = service.call(Request::new(Body::empty())).await;
    assert_eq!(result.err(), Some("no"));
    lifecycle.shutdown();
    soon("the drain", lifecycle.drained()).await;
    assert!(!has_fired(&kept));
}

#[tokio::test]
async fn a_client_that_leaves_behind_an_unread_body_is_noticed() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(read_for_ever)).with_state(marks.clone());
    let server = Server::start(app).await;
    let whole = "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello";
    let call = h1::raw(server.at, whole).await;
    marks.until("reading").await;
    call.hang_up();
    marks.until("dropped").await;
    assert_eq!(server.stop().await.cancelled.client_disconnected, 1);
}

#[cancellable(read)]
async fn read() -> &'static str {
    "read"
}

#[tokio::test]
async fn a_request_that_the_layer_refuses_at_stopping_closes_its_connection() {
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new().route("/", get(read)).layer(lifecycle.layer());
    // The worker keeps the drain from ending.
    lifecycle.spawn("endless", |_stop| std::future::pending::<()>());
    lifecycle.shutdown();
    soon("stopping", lifecycle.stopping().cancelled()).await;
    let request = http::Request::get("/").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    let connection = response.headers().get(http::header::CONNECTION).expect("it is said");
    assert_eq!(connection, "close");
}

/// Returns an event stream behind `impl IntoResponse`, which only the server can see.
#[cancellable(read, name = "hidden events")]
async fn hidden_events() -> impl IntoResponse {
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("data: 1\n\n"))]);
    ([("content-type", "text/event-stream")], Body::from_stream(body))
}

#[tokio::test]
async fn an_event_stream_under_a_read_policy_is_warned_of() {
    let log = Log::capture();
    let server = Server::start(Router::new().route("/", get(hidden_events))).await;
    for _ in 0..2 {
        h1::send(server.at, "GET", "/").await.until("data: 1").await;
    }
    let warned = log.with("a handler returned an event stream");
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(format!("{warned:?}").contains("hidden events"), "{warned:?}");
}

#[cancellable(read)]
async fn takes(body: String) -> String {
    body
}

#[tokio::test]
async fn a_body_that_does_not_say_where_it_ends_is_whole_under_another_server() {
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new().route("/", axum::routing::post(takes)).layer(lifecycle.layer());
    let frames = futures_util::stream::iter(["a ", "whole ", "one"].map(Ok::<_, std::io::Error>));
    let mut request = http::Request::post("/").body(Body::from_stream(frames)).unwrap();
    *request.version_mut() = http::Version::HTTP_2;
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap(), "a whole one");
}
