//! The properties of `lifecycle.layer()` under every server of axum routers.

#![allow(clippy::missing_panics_doc, reason = "they are tests, and panic when they fail")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use followthrough::ShutdownToken;
use followthrough_tests::{Marks, h1, h2c, soon};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Running, WebSocket, app::BIG};

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
pub enum Leaves {
    /// Closes its HTTP/1 connection.
    Http1Close,
    /// Resets its HTTP/2 stream and keeps its connection.
    Http2Reset,
    /// Closes its HTTP/2 connection.
    Http2Close,
}

/// All the ways.
pub const WAYS: [Leaves; 3] = [Leaves::Http1Close, Leaves::Http2Reset, Leaves::Http2Close];

impl Leaves {
    /// Sends a request and leaves after the mark `begun`. Returns the connection that the client
    /// keeps.
    async fn after(
        self,
        at: SocketAddr,
        (method, path): (&str, &str),
        begun: impl Future<Output = ()>,
    ) -> Option<h2c::Connection> {
        if let Self::Http1Close = self {
            let call = h1::send(at, method, path).await;
            begun.await;
            call.hang_up();
            return None;
        }
        let mut connection = h2c::connect(at).await;
        let call = connection.send(method, path).await;
        begun.await;
        if let Self::Http2Reset = self {
            call.reset();
            return Some(connection);
        }
        connection.hang_up();
        None
    }
}

/// A waiting read is dropped, and its token tells the cause.
pub async fn a_read_ends_with_its_client(start: impl AsyncFn(&Marks) -> Running) {
    for leaves in WAYS {
        let marks = Marks::default();
        let server = start(&marks).await;
        let _kept = leaves.after(server.at, ("GET", "/read"), marks.until("read: begun")).await;
        marks.until("read: client_disconnected").await;
        marks.until("read: dropped").await;
        let report = server.stop().await;
        assert!(!marks.has("read: done"), "{leaves:?}");
        assert_eq!(report.cancelled.client_disconnected, 1, "{leaves:?}: {report}");
    }
}

/// A client that leaves while an extractor reads its upload is a disconnect like any other.
pub async fn a_client_that_leaves_during_its_upload_is_counted(
    start: impl AsyncFn(&Marks) -> Running,
) {
    for leaves in WAYS {
        let marks = Marks::default();
        let server = start(&marks).await;
        let waits = async |requests: usize| {
            soon("the upload", async {
                while server.lifecycle.in_flight().requests != requests {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        };
        let mut connection = h2c::connect(server.at).await;
        if let Leaves::Http1Close = leaves {
            let head = "POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nhalf";
            let call = h1::raw(server.at, head).await;
            waits(1).await;
            call.hang_up();
        } else {
            // Not every server can tell a cut upload without a length from a whole upload.
            let mut call = connection.begin_with("POST", "/upload", ("content-length", "9")).await;
            call.data(b"half");
            waits(1).await;
            match leaves {
                Leaves::Http2Reset => call.reset(),
                _ => connection.hang_up(),
            }
        }
        waits(0).await;
        let report = server.stop().await;
        assert_eq!(report.cancelled.client_disconnected, 1, "{leaves:?}: {report}");
    }
}

/// A write that has begun runs to its end after its client has left.
pub async fn a_begun_write_follows_through(start: impl AsyncFn(&Marks) -> Running) {
    for leaves in WAYS {
        let marks = Marks::default();
        let server = start(&marks).await;
        let _kept = leaves.after(server.at, ("POST", "/write"), marks.until("write: begun")).await;
        soon("the write without its client", async {
            while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        marks.set("go");
        let report = server.stop().await;
        assert!(marks.has("write: done"), "{leaves:?}");
        assert_eq!(report.durable.followed_through, 1, "{leaves:?}: {report}");
        assert_eq!(report.exit_code(), 0, "{leaves:?}: {report}");
    }
}

/// A streaming response ends when its client leaves, and the token of its request tells the cause.
pub async fn a_stream_ends_with_its_client(start: impl AsyncFn(&Marks) -> Running) {
    for leaves in WAYS {
        let marks = Marks::default();
        let server = start(&marks).await;
        let _kept = leaves.after(server.at, ("GET", "/stream"), marks.until("stream: begun")).await;
        marks.until("stream: client_disconnected").await;
        marks.until("stream: dropped").await;
        server.stop().await;
    }
}

async fn relay(stop: ShutdownToken, marks: Marks) {
    stop.cancelled().await;
    marks.set("relay: told");
}

/// Reads and streams end, the listener closes, writes land, and then the workers are told to stop.
pub async fn a_signal_ends_reads_and_lets_writes_land(start: impl AsyncFn(&Marks) -> Running) {
    let marks = Marks::default();
    let mut server = start(&marks).await;
    let worker = marks.clone();
    server.lifecycle.spawn("relay", |stop| relay(stop, worker));
    let mut connection = h2c::connect(server.at).await;
    let read_2 = connection.send("GET", "/read").await;
    let stream_2 = connection.send("GET", "/stream").await;
    marks.until("read: begun").await;
    let mut read_1 = h1::send(server.at, "GET", "/read").await;
    let mut write_1 = h1::send(server.at, "POST", "/write").await;
    marks.until("write: begun").await;
    let mut stream_1 = h1::send(server.at, "GET", "/stream").await;
    let mut deaf_1 = h1::send(server.at, "GET", "/deaf").await;
    stream_1.until("first").await;
    deaf_1.until("first").await;
    while server.lifecycle.in_flight().requests < 6 {
        tokio::task::yield_now().await;
    }
    server.signal();
    let read_1 = read_1.answer().await;
    assert_eq!((read_1.status, read_1.header("connection")), (503, Some("close")));
    assert!(read_1.header("retry-after").is_some());
    let (read_2, stream_2) = tokio::join!(read_2.answer(), stream_2.answer());
    assert_eq!(read_2.status, 503);
    assert!(!stream_2.whole, "a cut body does not look whole");
    // The body has no last chunk.
    assert!(!stream_1.rest().await.contains("0\r\n\r\n"));
    assert!(!deaf_1.rest().await.contains("0\r\n\r\n"));
    marks.until("stream: shutting_down").await;
    server.refuses().await;
    assert!(!marks.has("relay: told"), "it outlives the write that may feed it");
    marks.set("go");
    assert_eq!(write_1.answer().await.body, "written");
    let report = server.ended().await;
    assert!(marks.has("relay: told"));
    assert_eq!((report.durable.completed, report.cancelled.shutting_down), (1, 5), "{report}");
    assert_eq!(report.exit_code(), 0, "{report}");
    assert!(report.elapsed < Duration::from_secs(4), "nothing is waited for in vain: {report}");
}

/// A worker that fails ends the service without a signal, in the same order.
pub async fn a_worker_that_fails_stops_the_server(
    start: impl AsyncFn(&Marks) -> Running,
    request: &str,
) {
    let marks = Marks::default();
    let server = start(&marks).await;
    let mut write = h1::raw(server.at, request).await;
    marks.until("write: begun").await;
    server.lifecycle.spawn("fragile", |_stop| async { panic!("it broke") });
    server.refuses().await;
    marks.set("go");
    write.until("written").await;
    let report = server.ended().await;
    assert_eq!((report.failed_workers.len(), report.durable.completed), (1, 1), "{report}");
}

/// The grace of a server that drains until the grace is over.
pub const SHORT_GRACE: Duration = Duration::from_secs(2);

/// How long the server of [`a_drain_delay_is_kept`] still accepts connections.
pub const DRAIN_DELAY: Duration = Duration::from_secs(2);

/// The readiness probe answers 503, and new connections are still served.
pub async fn a_drain_delay_is_kept(start: impl AsyncFn(&Marks) -> Running) {
    let mut server = start(&Marks::default()).await;
    assert_eq!(h1::call(server.at, "GET", "/ready").await.status, 200);
    server.signal();
    soon("the probe's answer", async {
        while h1::call(server.at, "GET", "/ready").await.status != 503 {}
    })
    .await;
    // Axum's own `ConnectInfo` still works.
    assert_eq!(h1::call(server.at, "GET", "/peer").await.body, "127.0.0.1");
    server.refuses().await;
    let report = server.ended().await;
    assert!(report.phases.not_ready >= DRAIN_DELAY, "{report}");
}

/// Requests with unread bytes behind them while their handlers wait: a second request, half of a
/// body that the handler holds, or half of a body that the handler dropped.
pub const BYTES_BEHIND: [&str; 3] = [
    "GET /read HTTP/1.1\r\nhost: test\r\n\r\nGET /peer HTTP/1.1\r\nhost: test\r\n\r\n",
    "POST /held HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhello",
    "POST /read HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhello",
];

/// hyper stops reading while bytes wait, and so misses the end of the connection: the handler runs
/// on. When this test fails because hyper notices the client, the guide has to change.
pub async fn a_client_that_leaves_bytes_behind_is_not_noticed(
    start: impl AsyncFn(&Marks) -> Running,
) {
    for request in BYTES_BEHIND {
        let marks = Marks::default();
        let server = start(&marks).await;
        let unseen = h1::raw(server.at, request).await;
        marks.until("read: begun").await;
        unseen.hang_up();
        // The server notices a client that leaves later without bytes behind its request.
        let mut seen = h1::send(server.at, "GET", "/stream").await;
        seen.until("first").await;
        seen.hang_up();
        marks.until("stream: client_disconnected").await;
        assert!(!marks.has("read: client_disconnected"), "{request}");
        assert!(!marks.has("read: dropped"), "{request}");
        marks.set("go");
        marks.until("read: done").await;
        server.stop().await;
    }
}

/// A short body has arrived whole, so that no bytes wait behind it, whether the handler reads it or
/// not.
pub async fn a_client_is_noticed_behind_a_short_body(start: impl AsyncFn(&Marks) -> Running) {
    for path in ["/held", "/read"] {
        let marks = Marks::default();
        let server = start(&marks).await;
        let whole = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello");
        let call = h1::raw(server.at, &whole).await;
        marks.until("read: begun").await;
        call.hang_up();
        marks.until("read: client_disconnected").await;
        server.stop().await;
    }
}

/// A request whose response is larger than any socket buffer.
pub const GET_BIG: &str = "GET /big HTTP/1.1\r\nhost: test\r\n\r\n";

/// A request whose write waits.
pub const POST_WRITE: &str = "POST /write HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";

/// The drain ends with its grace, and names the write that it abandons.
pub async fn a_write_that_never_ends_is_named(
    start: impl AsyncFn(&Marks) -> Running,
    request: &str,
) {
    let marks = Marks::default();
    let server = start(&marks).await;
    let _write = h1::raw(server.at, request).await;
    marks.until("write: begun").await;
    let begun = Instant::now();
    let report = server.stop().await;
    assert!(begun.elapsed() < SHORT_GRACE + Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(report.abandoned[0].handler.ends_with("app::write"), "{report}");
    assert_eq!((report.abandoned.len(), report.exit_code()), (1, 1), "{report}");
}

/// A response that is being sent when the drain ends has the rest of the grace.
pub async fn a_response_may_be_sent_to_its_end(
    start: impl AsyncFn(&Marks) -> Running,
    request: &str,
) {
    let mut server = start(&Marks::default()).await;
    let mut reader = TcpStream::connect(server.at).await.unwrap();
    reader.write_all(request.as_bytes()).await.unwrap();
    let mut read = vec![0; 1024];
    assert!(reader.read(&mut read).await.unwrap() > 0);
    server.signal();
    server.refuses().await;
    // The requests have drained, so a server that does not wait for responses would have ended.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.is_running());
    read.clear();
    soon("the response", reader.read_to_end(&mut read)).await.unwrap();
    assert!(read.len() >= BIG - 1024, "{} bytes came", read.len());
    server.ended().await;
}

/// The token of a WebSocket fires, and the drain neither waits for the upgraded connection nor cuts
/// it.
pub async fn an_open_websocket_is_told_and_neither_awaited_nor_cut(
    start: impl AsyncFn(&Marks) -> Running,
) {
    let marks = Marks::default();
    let server = start(&marks).await;
    let mut socket = WebSocket::connect(server.at, "/socket").await;
    socket.until("hello").await;
    server.stop().await;
    marks.until("socket: shutting_down").await;
    socket.until("goodbye").await;
    socket.say("are you there?").await;
    socket.until("echo of are you there?").await;
    assert!(!marks.has("socket: closed"));
}

/// A raw token does not fire, because its request has ended.
pub async fn a_websocket_that_took_a_token_of_tokio_util_is_not_told(
    start: impl AsyncFn(&Marks) -> Running,
) {
    let marks = Marks::default();
    let server = start(&marks).await;
    let mut deaf = WebSocket::connect(server.at, "/socket-raw").await;
    deaf.until("hello").await;
    let mut told = WebSocket::connect(server.at, "/socket").await;
    told.until("hello").await;
    server.stop().await;
    told.until("goodbye").await;
    assert!(!marks.has("socket: token"));
}

/// The socket itself ends when its client leaves, and its token does not fire.
pub async fn a_websocket_sees_its_client_leave_by_itself(start: impl AsyncFn(&Marks) -> Running) {
    let marks = Marks::default();
    let server = start(&marks).await;
    let mut socket = WebSocket::connect(server.at, "/socket").await;
    socket.until("hello").await;
    drop(socket);
    marks.until("socket: closed").await;
    assert!(!marks.has("socket: client_disconnected"));
    server.stop().await;
}

/// The bytes of a peer that then idles and keeps its connection open: half a request head; the
/// HTTP/2 preface of a peer that answers no PING; a request whose response the peer does not read.
pub const IDLERS: [&str; 3] =
    ["GET / HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", GET_BIG];

/// Sends one of [`IDLERS`] and returns the connection once the server has accepted it.
pub async fn idle(at: SocketAddr, bytes: &str) -> h1::Call {
    let idler = h1::raw(at, bytes).await;
    // The server accepts connections in order.
    h1::call(at, "GET", "/peer").await;
    idler
}
