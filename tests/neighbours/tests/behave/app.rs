//! Handlers for every test, and the behaviour that a harmless layer leaves as it is.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    routing::{get, post},
};
use followthrough::{LifecycleBuilder, cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1, h2c, lifecycle};
use futures_util::{StreamExt, stream};
use http::Uri;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Returns the path and the query; over HTTP/2 the URI has its host, too.
fn target(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(String::new, ToString::to_string)
}

/// Waits until the request ends. Its marks carry the path and the query.
#[cancellable(read)]
async fn read(State(marks): State<Marks>, uri: Uri) -> &'static str {
    let here = target(&uri);
    let _guard = marks.on_drop(&format!("{here} dropped"));
    marks.set(format!("{here} begun"));
    std::future::pending().await
}

#[cancellable(read, deadline = "50ms")]
async fn late_read() -> &'static str {
    std::future::pending().await
}

/// Waits for the mark `go`. Its other marks carry the path and the query.
#[durable_write]
async fn write(State(marks): State<Marks>, uri: Uri) -> &'static str {
    let here = target(&uri);
    marks.set(format!("{here} begun"));
    marks.until("go").await;
    marks.set(format!("{here} landed"));
    "landed"
}

/// As `write`, with the mark `go again`.
#[durable_write]
async fn write_again(State(marks): State<Marks>, uri: Uri) -> &'static str {
    let here = target(&uri);
    marks.set(format!("{here} begun"));
    marks.until("go again").await;
    marks.set(format!("{here} landed"));
    "landed"
}

#[durable_write(deadline = "300ms")]
async fn late_write(State(marks): State<Marks>) -> &'static str {
    marks.set("/late-write begun");
    marks.until("go late").await;
    marks.set("/late-write landed");
    "landed"
}

/// Sends a chunk, and then nothing.
#[cancellable(stream)]
async fn chunks() -> Body {
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"a chunk\n"))]);
    Body::from_stream(first.chain(stream::pending()))
}

/// Returns the routes of all handlers.
pub(crate) fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/read", get(read))
        .route("/late-read", get(late_read))
        .route("/write", post(write))
        .route("/write-again", post(write_again))
        .route("/late-write", post(late_write))
        .route("/chunks", get(chunks))
        .with_state(marks.clone())
}

/// Returns a lifecycle whose hook marks the handler and the cause of each request that ends early, the
/// later ones with `again`.
pub(crate) fn marked(marks: &Marks) -> LifecycleBuilder {
    let marks = marks.clone();
    lifecycle().on_cancelled(move |cancelled, policy| {
        let handler = policy.name().rsplit("::").next().unwrap_or_default();
        let mark = format!("{handler} {:?}", cancelled.cause());
        marks.set(if marks.has(&mark) { format!("{mark} again") } else { mark });
        None
    })
}

/// Ends reads and writes by disconnects over both protocols, by deadlines and by the shutdown, behind
/// the layers that `wrap` adds.
pub(crate) async fn policies_hold(wrap: impl FnOnce(Router) -> Router) {
    let marks = Marks::default();
    let server = Server::with(marked(&marks), wrap(app(&marks))).await;
    clients_leave(server.at, &marks).await;
    streams_are_reset(server.at, &marks).await;
    deadlines_pass(server.at, &marks).await;

    let mut open = h1::send(server.at, "GET", "/read?last").await;
    marks.until("/read?last begun").await;
    let (report, answer) = tokio::join!(server.stop(), open.answer());
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");

    assert_eq!((report.durable.begun, report.durable.completed), (3, 3), "{report}");
    assert_eq!(report.unlinked.begun, 0, "{report}");
    let cancelled = report.cancelled;
    let counts = (cancelled.client_disconnected, cancelled.deadline_exceeded);
    assert_eq!((counts, cancelled.shutting_down), ((4, 2), 1), "{report}");
}

async fn clients_leave(at: SocketAddr, marks: &Marks) {
    let call = h1::send(at, "GET", "/read?1").await;
    marks.until("/read?1 begun").await;
    call.hang_up();
    marks.until("/read?1 dropped").await;
    marks.until("read ClientDisconnected").await;

    let call = h1::send(at, "POST", "/write?1").await;
    marks.until("/write?1 begun").await;
    call.hang_up();
    marks.until("write ClientDisconnected").await;
    assert!(!marks.has("/write?1 landed"), "{:?}", marks.all());
    marks.set("go");
    marks.until("/write?1 landed").await;
}

async fn streams_are_reset(at: SocketAddr, marks: &Marks) {
    let mut connection = h2c::connect(at).await;
    let call = connection.send("GET", "/read?2").await;
    marks.until("/read?2 begun").await;
    call.reset();
    marks.until("/read?2 dropped").await;
    marks.until("read ClientDisconnected again").await;

    let call = connection.send("POST", "/write-again?2").await;
    marks.until("/write-again?2 begun").await;
    call.reset();
    marks.until("write_again ClientDisconnected").await;
    marks.set("go again");
    marks.until("/write-again?2 landed").await;
}

async fn deadlines_pass(at: SocketAddr, marks: &Marks) {
    let answer = h1::call(at, "GET", "/late-read").await;
    assert_eq!(answer.status, 504, "{answer:?}");
    let answer = h1::call(at, "POST", "/late-write").await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(answer.body.contains(r#""outcome":"unknown""#), "{answer:?}");
    marks.set("go late");
    marks.until("/late-write landed").await;
}
