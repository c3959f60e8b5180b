//! Slow peers, peers that ask for too much, and invalid settings.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use followthrough::{RequestToken, Serve, cancellable};
use followthrough_tests::{Log, Marks, h1, h2c, lifecycle, serve_as, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

const MS: Duration = Duration::from_millis(1);

fn app() -> Router {
    Router::new().route("/", get(async || "here"))
}

#[tokio::test]
async fn a_head_has_a_time_out_and_a_connection_that_waits_has_another() {
    let limit = 200 * MS;
    let (at, _) = serve_as(app(), |serve| serve.header_read_timeout(limit)).await;
    let begun = Instant::now();
    let mut silent = h1::raw(at, "").await;
    let mut half = h1::raw(at, "GET / HT").await;
    let mut half_a_preface = h1::raw(at, "PRI * HTTP/2.0\r\n\r\nSM").await;
    let mut waits = h1::raw(at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    waits.until("here").await;
    // A single byte now and then does not extend the time.
    let mut drips = h1::raw(at, "GET / HTTP/1.1\r\nx-long: ").await;
    let dripping = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nx-long: ").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            sleep(20 * MS).await;
        }
    };
    soon("the end of the head that drips", dripping).await;
    for late in [&mut silent, &mut half, &mut half_a_preface, &mut drips] {
        late.ends().await;
    }
    assert!(begun.elapsed() >= limit, "not before its time: {:?}", begun.elapsed());
    // The idle connection has waited longer, because its time-out is another one.
    waits.more("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    waits.until("here").await;
    // The header time-out also applies to a later request on the connection.
    waits.more("GET / HT").await;
    waits.ends().await;
}

#[tokio::test]
async fn a_connection_that_waits_for_too_long_is_closed() {
    let log = Log::capture();
    let (at, _) = serve_as(app(), |serve| serve.idle_timeout(100 * MS)).await;
    let mut waits = h1::raw(at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    waits.until("here").await;
    waits.ends().await;
    assert_eq!(log.with("no request came for").len(), 1);
}

#[tokio::test]
async fn a_slow_handler_and_a_slow_upload_do_not_meet_the_header_time_out() {
    let slow = async |body: String| {
        sleep(300 * MS).await;
        body
    };
    let app = Router::new().route("/", post(slow));
    let set = |serve: Serve| serve.header_read_timeout(60 * MS).idle_timeout(60 * MS);
    let (at, _) = serve_as(app, set).await;
    let mut call = h1::raw(at, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nhalf").await;
    sleep(200 * MS).await;
    call.more("half").await;
    assert_eq!(call.answer().await.body, "halfhalf");
}

#[cancellable(read)]
async fn wait(State(marks): State<Marks>, token: RequestToken) {
    let watched = marks.clone();
    tokio::spawn(async move { watched.set(token.cancelled().await.as_str()) });
    marks.set("waiting");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_silent_http_2_peer_is_a_disconnect() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(wait)).with_state(marks.clone());
    let set =
        |serve: Serve| serve.http2_keep_alive_interval(50 * MS).http2_keep_alive_timeout(50 * MS);
    let (at, _) = serve_as(app, set).await;
    // A preface, SETTINGS, and HPACK for `GET http: / x`, then silence.
    let mut peer = TcpStream::connect(at).await.unwrap();
    peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    peer.write_all(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01x").await.unwrap();
    marks.until("waiting").await;
    marks.until("client_disconnected").await;
    let mut rest = Vec::new();
    let _ = soon("the end of the connection", peer.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_answered_431() {
    let set = |serve: Serve| {
        serve
            .http1_max_headers(4)
            .http1_max_buf_size(16 << 10)
            .http2_max_header_list_size(2 << 10)
            .http2_max_concurrent_streams(3)
    };
    let (at, _) = serve_as(app(), set).await;
    let many = "x: y\r\n".repeat(8);
    let mut call = h1::raw(at, &format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    assert_eq!(call.answer().await.status, 431);
    let long = "x".repeat(64 << 10);
    let mut call = h1::raw(at, &format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n")).await;
    assert_eq!(call.answer().await.status, 431);

    let stream = TcpStream::connect(at).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://x/").header("x", "x".repeat(4 << 10));
    let (response, _) =
        send.ready().await.unwrap().send_request(request.body(()).unwrap(), true).unwrap();
    assert_eq!(soon("the answer", response).await.unwrap().status(), 431);
}

#[tokio::test]
async fn no_more_streams_than_allowed() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(wait)).with_state(marks.clone());
    let (at, lifecycle) = serve_as(app, |serve| serve.http2_max_concurrent_streams(3)).await;
    let stream = TcpStream::connect(at).await.unwrap();
    let (send, mut connection) = h2::client::handshake(stream).await.unwrap();
    soon("the settings", async {
        while connection.max_concurrent_send_streams() != 3 {
            std::future::poll_fn(|cx| {
                let _ = std::pin::Pin::new(&mut connection).poll(cx);
                std::task::Poll::Ready(())
            })
            .await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop((send, connection));
    lifecycle.shutdown();
}

#[tokio::test]
async fn http_1_connections_end_after_an_answer_where_that_is_asked_for() {
    let (at, _) = serve_as(app(), |serve| serve.http1_keep_alive(false)).await;
    let mut call = h1::raw(at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(call.answer().await.header("connection"), Some("close"));
    call.ends().await;
}

#[tokio::test]
async fn invalid_settings_are_refused_with_the_fix() {
    async fn refused(set: impl FnOnce(Serve) -> Serve, expected: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let serve = set(followthrough::serve(listener, Router::new()));
        let error = soon("the refusal", serve.into_future()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let zero = Duration::ZERO;
    refused(|serve| serve.header_read_timeout(zero), "give it at least 1 s").await;
    refused(|serve| serve.idle_timeout(zero), "`http1_keep_alive(false)`").await;
    refused(|serve| serve.write_timeout(zero), "the default is 30 s").await;
    refused(|serve| serve.max_upload_memory_per_connection(0), "the default is 32 MiB").await;
    refused(|serve| serve.max_upload_memory(1 << 20), "raise the first or lower the second").await;
    refused(|serve| serve.http1_max_headers(0), "the default is 100").await;
    refused(|serve| serve.http1_max_buf_size(100), "less than 8 KiB").await;
    refused(|serve| serve.http2_keep_alive_interval(zero), "the default is 20 s").await;
    refused(|serve| serve.http2_keep_alive_timeout(zero), "the default is 20 s").await;
    refused(|serve| serve.http2_max_concurrent_streams(0), "the default is 200").await;
    refused(|serve| serve.http2_max_header_list_size(0), "the default is 16 KiB").await;
    refused(|serve| serve.http2_max_send_buf_size(0), "the default is 400 KiB").await;
    refused(|serve| serve.http2_initial_stream_window_size(0), "the default is 128 KiB").await;
    refused(
        |serve| serve.http2_initial_connection_window_size(1 << 31),
        "between 1 and 2147483647 bytes",
    )
    .await;
    refused(
        |serve| serve.http2_initial_connection_window_size(64 << 10),
        "no stream could use all of its window: raise the first, lower the second",
    )
    .await;
}

#[tokio::test]
async fn a_lifecycle_serves_one_server() {
    let (log, marks) = (Log::capture(), Marks::default());
    let (at, lifecycle) = serve_as(app(), |serve| serve).await;
    assert_eq!(h1::call(at, "GET", "/").await.status, 200);
    let again = async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let serve = followthrough::serve(listener, app()).lifecycle(lifecycle.clone());
        soon("the refusal", serve.into_future()).await.unwrap_err().to_string()
    };
    let refused = again().await;
    assert!(refused.contains(&format!("serves at {at} already")), "{refused}");
    assert!(refused.contains("a lifecycle of its own"), "{refused}");
    assert_eq!(h1::call(at, "GET", "/").await.status, 200, "the first one goes on");

    let running = lifecycle.spawn("runs", |stop| async move { stop.cancelled().await });
    lifecycle.shutdown();
    soon("the drain", lifecycle.drained()).await;
    soon("the worker's end", running.ended()).await;
    let refused = again().await;
    assert!(refused.contains("has ended") && refused.contains("build another one"), "{refused}");

    let late = marks.clone();
    let worker = lifecycle.spawn("late", move |_| {
        late.set("called");
        std::future::ready(())
    });
    assert!(worker.has_ended());
    assert!(marks.all().is_empty(), "its code does not run");
    let lines = log.with("worker not started: the drain of its lifecycle is over");
    assert_eq!((lines.len(), lines[0].level), (1, tracing::Level::ERROR));
    assert!(lines[0].text.contains("worker=late"), "{}", lines[0].text);
}

#[tokio::test]
async fn goaway_and_connection_close_tell_the_peers_at_once() {
    let marks = Marks::default();
    let answer = async |State(marks): State<Marks>| {
        marks.set("waiting");
        marks.until("go").await;
    };
    let app = Router::new().route("/", get(answer)).with_state(marks.clone());
    let lifecycle = lifecycle().read_grace(2000 * MS).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    let running = tokio::spawn(serve.into_future());
    let mut over_1 = h1::send(at, "GET", "/").await;
    marks.until("waiting").await;
    let mut idle = h2c::connect(at).await;
    let over_2 = idle.send("GET", "/").await;
    soon("both requests", async {
        while lifecycle.in_flight().requests < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    lifecycle.shutdown();
    idle.is_told_to_go().await;
    marks.set("go");
    let answer = over_1.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(over_2.answer().await.status, 200);
    soon("the end", running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_without_the_lifecycle_of_the_process_is_warned_of() {
    let log = Log::capture();
    let forgotten = lifecycle().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = tokio::spawn(followthrough::serve(listener, app()).into_future());
    soon("the warning", async {
        while log.with("this server has another one").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.abort();
    drop(forgotten);
}
