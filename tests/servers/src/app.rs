//! The application for every server of axum routers.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State, WebSocketUpgrade, ws::Message},
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use followthrough::{Lifecycle, RequestToken, cancellable, durable_write, exempt};
use followthrough_tests::Marks;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

/// Marks the cause of a token once the token fires.
pub fn watch(marks: &Marks, name: &'static str, token: RequestToken) {
    let marks = marks.clone();
    tokio::spawn(async move {
        let cause = token.cancelled().await;
        marks.set(format!("{name}: {cause}"));
    });
}

/// Waits for the mark `go`, or to be dropped.
#[cancellable(read)]
pub async fn read(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    let _dropped = marks.on_drop("read: dropped");
    watch(&marks, "read", token);
    marks.set("read: begun");
    marks.until("go").await;
    marks.set("read: done");
    "read"
}

/// Waits as `read` does, and holds the unread body of its request.
#[cancellable(read)]
async fn read_with_a_body(
    State(marks): State<Marks>,
    token: RequestToken,
    _unread: Body,
) -> &'static str {
    let _dropped = marks.on_drop("read: dropped");
    watch(&marks, "read", token);
    marks.set("read: begun");
    marks.until("go").await;
    marks.set("read: done");
    "read"
}

/// Waits for the mark `go`.
#[durable_write]
pub async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("write: begun");
    marks.until("go").await;
    marks.set("write: done");
    "written"
}

fn first_and_no_more(marks: &Marks, dropped: &str) -> Body {
    let held = marks.on_drop(dropped);
    let chunks = stream::unfold((held, true), |(held, first)| async move {
        if !first {
            std::future::pending::<()>().await;
        }
        Some((Ok::<_, std::io::Error>(Bytes::from("first")), (held, false)))
    });
    Body::from_stream(chunks)
}

/// Streams without end and ignores its token.
#[cancellable(stream)]
async fn stream_that_is_deaf(State(marks): State<Marks>) -> Body {
    first_and_no_more(&marks, "deaf stream: dropped")
}

/// Streams without end.
#[cancellable(stream)]
pub async fn stream_with_a_token(State(marks): State<Marks>, token: RequestToken) -> Body {
    watch(&marks, "stream", token);
    marks.set("stream: begun");
    first_and_no_more(&marks, "stream: dropped")
}

/// More bytes than any socket buffer holds.
pub const BIG: usize = 32 << 20;

#[cancellable(read)]
async fn big() -> Vec<u8> {
    vec![0; BIG]
}

#[cancellable(read)]
async fn upload(_body: String) {}

#[exempt(reason = "says who asks")]
async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    peer.ip().to_string()
}

/// Says hello, then goodbye when its token fires, and echoes until the client leaves.
#[cancellable(stream)]
async fn socket(
    State(marks): State<Marks>,
    token: RequestToken,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let _ = socket.send(Message::text("hello")).await;
        let mut told = false;
        loop {
            tokio::select! {
                cause = token.cancelled(), if !told => {
                    told = true;
                    marks.set(format!("socket: {cause}"));
                    let _ = socket.send(Message::text("goodbye")).await;
                }
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let _ = socket.send(Message::text(format!("echo of {text}"))).await;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break,
                },
            }
        }
        marks.set("socket: closed");
    })
}

/// The handler `socket` with a token of tokio-util.
#[cancellable(stream)]
async fn socket_raw(
    State(marks): State<Marks>,
    cancel: CancellationToken,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let _ = socket.send(Message::text("hello")).await;
        cancel.cancelled().await;
        marks.set("socket: token");
    })
}

/// Returns the router with all handlers.
pub fn app(marks: &Marks, lifecycle: &Lifecycle) -> Router {
    Router::new()
        .route("/ready", get(lifecycle.readiness()))
        .route("/read", get(read).post(read))
        .route("/held", post(read_with_a_body))
        .route("/write", post(write))
        .route("/stream", get(stream_with_a_token))
        .route("/deaf", get(stream_that_is_deaf))
        .route("/big", get(big))
        .route("/upload", post(upload))
        .route("/peer", get(peer))
        .route("/socket", get(socket))
        .route("/socket-raw", get(socket_raw))
        .with_state(marks.clone())
}
