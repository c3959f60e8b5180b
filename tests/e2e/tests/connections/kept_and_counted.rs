//! Connections that the server must neither drop nor keep, and must count correctly.

use std::{convert::Infallible, io::Write as _, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    response::{Response, Sse, sse::Event},
    routing::get,
};
use bytes::Bytes;
use followthrough::{LastEvent, cancellable, exempt};
use followthrough_tests::{Server, h1, h2c, lifecycle, serve_as, soon};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

const MS: Duration = Duration::from_millis(1);

#[exempt(reason = "big")]
async fn big() -> Bytes {
    Bytes::from(vec![7; 32 << 20])
}

#[tokio::test]
async fn a_slow_download_is_not_a_connection_that_waits_for_a_request() {
    let (at, _) = serve_as(Router::new().route("/", get(big)), |s| s.idle_timeout(300 * MS)).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut got = 0;
    let mut buf = vec![0; 1 << 20];
    let read = async {
        loop {
            match stream.read(&mut buf).await {
                Ok(0) | Err(_) => break,
                Ok(n) => got += n,
            }
            // About 20 MiB/s, without long pauses.
            sleep(50 * MS).await;
            if got >= 32 << 20 {
                break;
            }
        }
    };
    soon("the download", read).await;
    assert!(got >= 32 << 20, "cut after {got} bytes");
}

#[cancellable(stream)]
async fn tunnel() -> &'static str {
    ""
}

#[tokio::test]
async fn a_tunnel_over_http_1_ends_if_its_handler_does_not_take_it() {
    let server = Server::start(Router::new().fallback(tunnel)).await;
    let mut call =
        h1::raw(server.at, "CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\n").await;
    let rest = call.until("\r\n\r\n").await;
    assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
    // The handler does not take the tunnel, so the tunnel ends.
    let ends = timeout(1000 * MS, call.ends()).await.is_ok();
    call.hang_up();
    sleep(200 * MS).await;
    let left = server.lifecycle.in_flight().requests;
    let report = server.stop().await;
    assert_eq!((ends, left), (true, 0), "the client has gone, and its request has not: {report}");
    assert!(report.elapsed < 1000 * MS, "{report}");
}

#[cancellable(stream)]
async fn endless() -> Sse<impl futures_util::Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::pending())
}

/// The count of the tunnel must not be taken for the count of the next HTTP/2 stream.
#[tokio::test]
async fn a_tunnel_over_http_1_is_not_counted_for_a_later_http_2_stream() {
    let app = Router::new().route("/ping", get(async || "pong")).fallback(tunnel);
    let server = Server::start(app).await;
    let mut call =
        h1::raw(server.at, "CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\n").await;
    call.until("\r\n\r\n").await;
    call.hang_up();
    sleep(50 * MS).await;
    let before = server.lifecycle.in_flight().requests;
    let mut connection = h2c::connect(server.at).await;
    assert_eq!(connection.send("GET", "/ping").await.answer().await.body, "pong");
    sleep(50 * MS).await;
    let after = server.lifecycle.in_flight().requests;
    assert_eq!((before, after), (0, 0), "a request ended with another connection's stream");
}

/// The port closes just before the server polls its sockets.
#[test]
fn a_connection_that_came_before_the_last_look_at_the_port_is_answered() {
    last_look(false);
}

/// The drain has to wait for another request, so that it does not end at once.
#[test]
fn a_connection_that_came_before_the_last_look_is_answered_beside_a_draining_request() {
    last_look(true);
}

fn last_look(beside: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut came, mut lost) = (0, 0);
    for _ in 0..20 {
        let (connected, answered) = runtime.block_on(async {
            let slow = async || sleep(1500 * MS).await;
            let app = Router::new().route("/", get(async || "in time")).route("/slow", get(slow));
            let server = Server::with(lifecycle().read_grace(2000 * MS), app).await;
            h1::call(server.at, "GET", "/").await;
            let other = if beside { Some(h1::send(server.at, "GET", "/slow").await) } else { None };
            while beside && server.lifecycle.in_flight().requests == 0 {
                tokio::task::yield_now().await;
            }
            server.lifecycle.shutdown();
            sleep(Duration::from_micros(1)).await;
            let Ok(mut client) = std::net::TcpStream::connect(server.at) else {
                return (false, false);
            };
            client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            client.set_nonblocking(true).unwrap();
            let mut client = TcpStream::from_std(client).unwrap();
            let mut answer = String::new();
            let _ = timeout(1000 * MS, client.read_to_string(&mut answer)).await;
            drop(other);
            (true, answer.ends_with("in time"))
        });
        came += usize::from(connected);
        lost += usize::from(connected && !answered);
    }
    assert_eq!(lost, 0, "of {came} that connected and sent their request");
}

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test]
async fn a_preface_in_two_pieces_is_a_preface() {
    let app = Router::new().route("/", get(async || "here"));
    let (at, _) = serve_as(app, |serve| serve.header_read_timeout(200 * MS)).await;
    let mut lives = Vec::new();
    for cut in [24, 10] {
        let (first, second) = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".split_at(cut);
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(first).await.unwrap();
        sleep(30 * MS).await;
        stream.write_all(second).await.unwrap();
        stream.write_all(SETTINGS).await.unwrap();
        let mut all = Vec::new();
        lives.push(timeout(1000 * MS, stream.read_to_end(&mut all)).await.is_err());
    }
    assert_eq!(lives, [true, true], "whole, in two pieces");
}

#[tokio::test]
async fn the_longest_keep_alive_interval_sends_no_ping() {
    let app = Router::new().route("/", get(async || "here"));
    let (at, _) = serve_as(app, |serve| serve.http2_keep_alive_interval(Duration::MAX)).await;
    let mut connection = h2c::connect(at).await;
    let answer = connection.send("GET", "/").await.answer().await;
    assert_eq!(answer.body, "here");
}

#[tokio::test]
async fn the_longest_timeouts_never_pass() {
    let app = Router::new().route("/", get(async || "here"));
    let (at, _) = serve_as(app, |serve| {
        serve
            .http2_keep_alive_interval(50 * MS)
            .http2_keep_alive_timeout(Duration::MAX)
            .header_read_timeout(Duration::MAX)
            .idle_timeout(Duration::MAX)
    })
    .await;
    let mut connection = h2c::connect(at).await;
    sleep(200 * MS).await;
    let answer = connection.send("GET", "/").await.answer().await;
    assert_eq!(answer.body, "here");
}

/// Encodes every byte of every response, as a compression layer that also takes event streams does.
async fn encoded(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert("content-encoding", "x-not".parse().unwrap());
    response.map(|body| {
        Body::new(body.map_frame(|frame| {
            frame.map_data(|data| data.iter().map(|byte| !byte).collect::<Bytes>())
        }))
    })
}

#[cancellable(stream)]
async fn events() -> (LastEvent, Sse<impl futures_util::Stream<Item = Result<Event, Infallible>>>) {
    let first = stream::iter([Ok(Event::default().data("first"))]);
    (LastEvent::new(Event::default().data("bye")), Sse::new(first.chain(stream::pending())))
}

#[tokio::test]
async fn the_last_event_goes_through_the_middleware_that_encodes_the_others() {
    let app = Router::new().route("/", get(events)).layer(axum::middleware::from_fn(encoded));
    let server = Server::start(app).await;
    let mut connection = h2c::connect(server.at).await;
    let call = connection.send("GET", "/").await;
    let answer = tokio::spawn(raw_answer(call));
    sleep(100 * MS).await;
    server.lifecycle.shutdown();
    let bytes = soon("the answer", answer).await.unwrap();
    let decoded: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
    let decoded = String::from_utf8(decoded);
    assert!(decoded.is_ok(), "plain bytes in an encoded body: {bytes:?}");
    server.ended().await;
}

async fn raw_answer(call: h2c::Call) -> Vec<u8> {
    // The helper decodes lossily, so the test looks at plain text.
    let answer = call.answer().await;
    if answer.body.contains("bye") { b"bye".to_vec() } else { Vec::new() }
}

#[tokio::test]
async fn a_service_that_is_never_made_meets_the_header_time_out() {
    let lifecycle = lifecycle().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let make =
        tower::service_fn(|_: SocketAddr| std::future::pending::<Result<Router, Infallible>>());
    let serve = followthrough::serve(listener, make)
        .lifecycle(lifecycle.clone())
        .header_read_timeout(200 * MS);
    let server = tokio::spawn(serve.into_future());
    let mut call = h1::raw(at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let closed = timeout(1500 * MS, call.ends()).await.is_ok();
    lifecycle.shutdown();
    let report = soon("the end", server).await.unwrap().unwrap();
    assert!(closed, "no time-out applies: {report}");
    assert!(report.elapsed < 1000 * MS, "{report}");
}

#[exempt(reason = "long")]
async fn long() -> Bytes {
    Bytes::from(vec![7; 40 << 10])
}

#[tokio::test]
async fn an_answer_that_came_whole_is_not_named_as_cut() {
    let server = Server::start(Router::new().route("/", get(long))).await;
    let stream = TcpStream::connect(server.at).await.unwrap();
    let (mut send, mut connection) = h2::client::handshake(stream).await.unwrap();
    let whole = async {
        let request = http::Request::get("http://test/").body(()).unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut got = 0;
        while let Some(chunk) = body.data().await {
            let chunk = chunk.unwrap();
            got += chunk.len();
            body.flow_control().release_capacity(chunk.len()).unwrap();
        }
        got
    };
    let got = soon("the answer", async {
        tokio::select! {
            got = whole => got,
            _ = &mut connection => panic!("it is open"),
        }
    })
    .await;
    assert_eq!(got, 40 << 10);
    // From here on the peer answers no frame, not even a PING.
    let report = server.stop().await;
    let cut = &report.connections_cut;
    assert!(cut.iter().all(|connection| connection.requests.is_empty()), "{report}");
    drop((send, connection));
}

/// A stream of odd frames, which must arrive whole over both protocols.
fn odd() -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::iter((0..40).map(|n| {
        let size = [0, 1, 0, 300, 17_000, 0][n % 6];
        Ok(Bytes::from(vec![b'a'; size]))
    }))
}

#[cancellable(stream)]
async fn odd_frames() -> Response {
    Response::new(Body::from_stream(odd()))
}

#[tokio::test]
async fn streams_of_odd_frames_do_not_hang() {
    let whole: usize = (0..40).map(|n| [0, 1, 0, 300, 17_000, 0][n % 6]).sum();
    let server = Server::start(Router::new().route("/", get(odd_frames))).await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_at = plain.local_addr().unwrap();
    let app = Router::new().route("/", get(|| async { Response::new(Body::from_stream(odd())) }));
    drop(tokio::spawn(axum::serve(plain, app).into_future()));
    let mut to_plain = h2c::connect(plain_at).await;
    let of_plain = to_plain.send("GET", "/").await.answer().await;
    assert_eq!((of_plain.body.len(), of_plain.whole), (whole, true), "one, axum::serve");
    let one = h2c::connect(server.at).await.send("GET", "/").await.answer().await;
    assert_eq!((one.body.len(), one.whole), (whole, true), "one, followthrough::serve");
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(to_plain.send("GET", "/").await);
    }
    let all = calls.into_iter().map(h2c::Call::answer);
    let all = soon("all", futures_util::future::join_all(all)).await;
    let bad = all.iter().filter(|answer| answer.body.len() != whole || !answer.whole).count();
    println!("axum::serve, 50 at once: {bad} are not whole");
    let mut connection = h2c::connect(server.at).await;
    let calls: Vec<_> = {
        let mut calls = Vec::new();
        for _ in 0..5 {
            calls.push(connection.send("GET", "/").await);
        }
        calls
    };
    let all = calls.into_iter().map(h2c::Call::answer);
    for answer in soon("all", futures_util::future::join_all(all)).await {
        assert_eq!((answer.body.len(), answer.whole), (whole, true));
    }
    for request in [
        "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ] {
        let mut call = h1::raw(server.at, request).await;
        let rest = call.rest().await;
        let got = rest.bytes().filter(|byte| *byte == b'a').count();
        let times = request.matches("GET").count();
        assert!(got >= whole * times && got < whole * times + 200, "{request}: {got}");
    }
    let report = server.stop().await;
    assert!(report.elapsed < 1000 * MS, "{report}");
}
