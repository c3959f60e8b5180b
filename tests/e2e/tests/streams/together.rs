//! Answers that are ready together leave together.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State, WebSocketUpgrade},
    response::Response,
    routing::get,
};
use followthrough::cancellable;
use followthrough_tests::{
    Marks, serve_as, soon,
    ws::{self, Opcode},
};
use futures_util::{future::join_all, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[cancellable(read)]
async fn pending_once() -> &'static str {
    tokio::task::yield_now().await;
    "ok"
}

#[cancellable(read)]
async fn waits(Path(n): Path<usize>, State(marks): State<Marks>) -> &'static str {
    marks.until(&format!("go {n}")).await;
    "waited"
}

/// Keeps its thread busy.
#[cancellable(read)]
async fn computes() -> &'static str {
    std::thread::sleep(Duration::from_millis(30));
    "ok"
}

/// Two pieces, the second after a mark.
#[cancellable(stream)]
async fn pieces(State(marks): State<Marks>) -> Body {
    Body::from_stream(stream::unfold(0, move |n| {
        let marks = marks.clone();
        async move {
            if n == 1 {
                marks.until("second").await;
            }
            (n < 2).then(|| (Ok::<_, Infallible>(format!("piece {n}")), n + 1))
        }
    }))
}

#[cancellable(stream)]
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

fn app(marks: Marks) -> Router {
    Router::new()
        .route("/ok", get(pending_once))
        .route("/echo", get(echo))
        .route("/waits/{n}", get(waits))
        .route("/computes", get(computes))
        .route("/pieces", get(pieces))
        .with_state(marks)
}

/// Reads until `text` has come `times`.
async fn read_until(stream: &mut TcpStream, text: &str, times: usize) {
    let (mut read, mut buf) = (String::new(), [0; 4096]);
    while read.matches(text).count() < times {
        let bytes = soon(text, stream.read(&mut buf)).await.unwrap();
        assert!(bytes > 0, "the connection has ended after {read}");
        read.push_str(std::str::from_utf8(&buf[..bytes]).unwrap());
    }
    assert_eq!(read.matches(text).count(), times, "{read}");
}

#[tokio::test]
async fn pipelined_requests_are_all_answered_and_a_stream_behind_them_is_prompt() {
    let marks = Marks::default();
    let (at, _) = serve_as(app(marks.clone()), |serve| serve).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    let ok = "GET /ok HTTP/1.1\r\nhost: test\r\n\r\n";
    let pieces = "GET /pieces HTTP/1.1\r\nhost: test\r\n\r\n";
    for _ in 0..3 {
        stream.write_all(ok.repeat(16).as_bytes()).await.unwrap();
        read_until(&mut stream, "\r\n\r\nok", 16).await;
    }
    // The request behind the stream is buffered while the stream goes on.
    let requests = [ok, pieces, ok].concat();
    stream.write_all(requests.as_bytes()).await.unwrap();
    read_until(&mut stream, "piece 0", 1).await;
    marks.set("second");
    read_until(&mut stream, "\r\n\r\nok", 1).await;
}

/// Returns the number of system calls of this thread that write.
#[cfg(target_os = "linux")]
fn writes() -> usize {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("syscw: "));
    line.and_then(|count| count.parse().ok()).unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn answers_of_streams_that_are_ready_leave_in_few_writes_over_http_2() {
    const STREAMS: usize = 64;
    // With threads, the runtime runs a task that a stream wakes before the streams that are ready.
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = threads.worker_threads(1).enable_all().build().unwrap();
    let serves = runtime.spawn(serve_as(app(Marks::default()), |serve| serve));
    let (at, _) = serves.await.unwrap();
    let socket = TcpStream::connect(at).await.unwrap();
    let (mut send, connection) = h2::client::handshake(socket).await.unwrap();
    drop(tokio::spawn(connection));
    let request = || http::Request::get("http://test/ok").body(()).unwrap();
    let (first, _) = send.send_request(request(), true).unwrap();
    soon("a first answer", first).await.unwrap();
    let before = runtime.spawn(async { writes() }).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..STREAMS {
        send = send.ready().await.unwrap();
        answers.push(send.send_request(request(), true).unwrap().0);
    }
    for answer in soon("the answers", join_all(answers)).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    let writes = runtime.spawn(async { writes() }).await.unwrap() - before;
    runtime.shutdown_background();
    assert!(writes < STREAMS / 4, "{writes} writes");
}

/// The system would keep each message for 200 ms.
#[tokio::test]
async fn the_messages_of_a_websocket_behind_pipelined_requests_are_prompt() {
    let (at, _) = serve_as(app(Marks::default()), |serve| serve).await;
    let requests = "GET /ok HTTP/1.1\r\nhost: test\r\n\r\n".repeat(3);
    let mut socket = ws::open_behind(at, &requests, "/echo").await;
    let begun = Instant::now();
    for n in 0..40_u8 {
        socket.send(Opcode::Binary, &[n]).await;
        assert_eq!(socket.frame().await, Some((Opcode::Binary, vec![n])));
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "40 messages took {:?}", begun.elapsed());
}

/// The system would keep each answer for 200 ms.
#[tokio::test]
async fn an_answer_does_not_wait_for_a_pending_handler_behind_it() {
    let marks = Marks::default();
    let (at, _) = serve_as(app(marks.clone()), |serve| serve).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    let begun = Instant::now();
    for n in 0..40 {
        let requests = format!(
            "GET /ok HTTP/1.1\r\nhost: test\r\n\r\nGET /waits/{n} HTTP/1.1\r\nhost: test\r\n\r\n"
        );
        stream.write_all(requests.as_bytes()).await.unwrap();
        read_until(&mut stream, "\r\n\r\nok", 1).await;
        marks.set(format!("go {n}"));
        read_until(&mut stream, "\r\n\r\nwaited", 1).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "40 rounds took {:?}", begun.elapsed());
}

/// A runtime of its own serves, because the handlers keep its thread busy.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_answer_waits_for_one_handler_behind_it_that_computes() {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = threads.worker_threads(1).enable_all().build().unwrap();
    let (at, _) = runtime.spawn(serve_as(app(Marks::default()), |serve| serve)).await.unwrap();
    let mut stream = TcpStream::connect(at).await.unwrap();
    let ok = "GET /ok HTTP/1.1\r\nhost: test\r\n\r\n";
    stream.write_all(ok.repeat(2).as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\nok", 2).await;
    let requests = "GET /computes HTTP/1.1\r\nhost: test\r\n\r\n".repeat(12);
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut buf = [0; 4096];
    let bytes = soon("an answer", stream.read(&mut buf)).await.unwrap();
    let text = String::from_utf8_lossy(&buf[..bytes]);
    assert!(text.matches("200 OK").count() <= 3, "{text}");
    runtime.shutdown_background();
}
