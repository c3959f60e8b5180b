//! Peers that do not read the bytes that wait for them, and peers that read slowly.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, extract::State, response::Response, routing::get};
use bytes::Bytes;
use followthrough::cancellable;
use followthrough_tests::{Log, Marks, h2c, serve_as, soon};
use futures_util::stream;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};

const MS: Duration = Duration::from_millis(1);
/// More than the buffers of two sockets and of a server hold.
const LONG: usize = 24 << 20;

/// Answers with a body in memory, and sets a mark when the body is freed.
async fn long(State(marks): State<Marks>) -> Response {
    struct Held<G> {
        bytes: Vec<u8>,
        _guard: G,
    }
    impl<G> AsRef<[u8]> for Held<G> {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    let held = Held { bytes: vec![7; LONG], _guard: marks.on_drop("freed") };
    Response::new(Body::from(Bytes::from_owner(held)))
}

fn app(marks: &Marks) -> Router {
    let waits = async |State(marks): State<Marks>| {
        marks.until("say more").await;
        "waited"
    };
    Router::new()
        .route("/", get(long))
        .route("/seldom", get(seldom))
        .route("/floods", get(floods))
        .route("/pauses", get(pauses))
        .route("/waits", get(waits))
        .with_state(marks.clone())
}

/// Connects a client with a small receive buffer, so that few bytes wait unread in the kernel.
async fn small_client(at: std::net::SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(32 << 10).unwrap();
    socket.connect(&at.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut stream = TcpStream::from_std(socket.into()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn an_unread_answer_is_dropped_over_http_1() {
    let (marks, log) = (Marks::default(), Log::capture());
    let limit = 300 * MS;
    let (at, lifecycle) = serve_as(app(&marks), |serve| serve.write_timeout(limit)).await;
    let begun = Instant::now();
    let mut client = small_client(at).await;
    marks.until("freed").await;
    assert!(begun.elapsed() >= limit, "not before its time: {:?}", begun.elapsed());
    // The client can still read the bytes that arrived before the reset.
    let mut read = Vec::new();
    let ended = soon("the reset", client.read_to_end(&mut read)).await;
    assert!(ended.is_err() && read.len() < LONG, "{ended:?} after {} bytes", read.len());
    assert_eq!(log.with("took none of the waiting bytes for").len(), 1);
    assert_eq!(lifecycle.in_flight().requests, 0);
}

/// Streams one chunk first, and another when the test allows it.
#[cancellable(stream)]
async fn seldom(State(marks): State<Marks>) -> Body {
    let items = stream::unfold((marks, 0), |(marks, n)| async move {
        let item = match n {
            0 => "first",
            1 => {
                marks.until("say more").await;
                "second"
            }
            _ => return None,
        };
        Some((Ok::<_, Infallible>(item), (marks, n + 1)))
    });
    Body::from_stream(items)
}

/// Streams without end.
#[cancellable(stream)]
async fn floods(State(marks): State<Marks>) -> Body {
    let guard = marks.on_drop("freed");
    let items = stream::unfold(guard, |guard| async move {
        Some((Ok::<_, Infallible>(Bytes::from(vec![7; 100 << 10])), guard))
    });
    Body::from_stream(items)
}

/// Streams a byte more than the window of a client, and then waits. h2 holds the item, and hyper polls the body: it
/// would not poll a body that has a second piece.
#[cancellable(stream)]
async fn pauses(State(marks): State<Marks>) -> Body {
    let guard = marks.on_drop("freed");
    let items = stream::unfold((guard, 0), |(guard, n)| async move {
        if n == 1 {
            std::future::pending::<()>().await;
        }
        Some((Ok::<_, Infallible>(Bytes::from(vec![7; 64 << 10])), (guard, n + 1)))
    });
    Body::from_stream(items)
}

/// Only a stream whose window stays shut is reset. A stream without data and a waiting request on
/// the same connection go on.
async fn only_the_stalled_stream_is_reset(path: &str) {
    let (marks, log) = (Marks::default(), Log::capture());
    let (at, _) = serve_as(app(&marks), |serve| serve.write_timeout(400 * MS)).await;
    let mut connection = h2c::connect(at).await;
    let mut silent = connection.send("GET", "/seldom").await.begins().await;
    assert_eq!(silent.chunk().await, Some("first".len()));
    let waits = connection.send("GET", "/waits").await;
    // The client reads the head and no byte of the body, and still answers PINGs.
    let unread = connection.send("GET", path).await.begins().await;
    marks.until("freed").await;
    unread.is_reset().await;
    assert_eq!(log.with("took none of the waiting bytes of an answer").len(), 1);
    marks.set("say more");
    assert_eq!(silent.chunk().await, Some("second".len()));
    assert_eq!(waits.answer().await.body, "waited");
    // A connection that dropped one response does not stall.
    sleep(800 * MS).await;
    marks.set("say more");
    assert_eq!(connection.send("GET", "/waits").await.answer().await.body, "waited");
}

#[tokio::test]
async fn a_body_in_memory_whose_window_stays_shut_is_dropped_over_http_2() {
    only_the_stalled_stream_is_reset("/").await;
}

#[tokio::test]
async fn a_stream_whose_window_stays_shut_is_dropped_over_http_2() {
    only_the_stalled_stream_is_reset("/floods").await;
}

#[tokio::test]
async fn a_stream_that_pauses_while_its_window_stays_shut_is_dropped_over_http_2() {
    only_the_stalled_stream_is_reset("/pauses").await;
}

#[tokio::test]
async fn a_reader_over_http_2_that_is_slow_and_steady_gets_it_all() {
    let marks = Marks::default();
    let (at, _) = serve_as(app(&marks), |serve| serve.write_timeout(1000 * MS)).await;
    let mut connection = h2c::connect(at).await;
    let mut open = connection.send("GET", "/").await.begins().await;
    let (begun, mut read) = (Instant::now(), 0);
    while let Some(bytes) = open.chunk().await {
        read += bytes;
        // The client reads slowly for three time-outs, and then as fast as it can.
        if begun.elapsed() < 3000 * MS {
            sleep(50 * MS).await;
        }
    }
    assert!(begun.elapsed() > 3000 * MS);
    assert_eq!(read, LONG);
}

#[tokio::test]
async fn a_reader_that_is_slow_and_steady_does_not_stall() {
    let marks = Marks::default();
    // Within one time-out the client reads less than the kernel frees at once.
    let (at, _) = serve_as(app(&marks), |serve| serve.write_timeout(1500 * MS)).await;
    let mut client = small_client(at).await;
    let (begun, mut read, mut part) = (Instant::now(), 0, vec![0; 4 << 10]);
    while begun.elapsed() < 4000 * MS {
        read += client.read(&mut part).await.unwrap();
        sleep(20 * MS).await;
    }
    assert!(!marks.has("freed"), "after {read} bytes, more than the socket's buffers hold");
    // The bytes that the client reads now were sent later.
    let more = soon("more", client.read_exact(&mut part)).await;
    assert!(more.is_ok() && read < LONG / 4, "{more:?} after {read} bytes");
}
