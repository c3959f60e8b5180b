//! How much of a stream leaves at once, and how much of it waits for a reader that stalls.

use std::{
    convert::Infallible,
    iter,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::{Response, sse::Event},
    routing::get,
};
use bytes::Bytes;
use followthrough::{LastEvent, RequestToken, cancellable};
use followthrough_tests::{Log, Marks, Server, lifecycle, serve_as, soon};
use futures_util::{future::join_all, stream};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};

#[cfg(target_os = "linux")]
mod writes;

const MS: Duration = Duration::from_millis(1);
const KIB: usize = 1 << 10;

/// Connects with a small buffer, which a stream fills soon.
async fn connect(at: SocketAddr, path: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * KIB).unwrap();
    socket.connect(&at.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut stream = TcpStream::from_std(socket.into()).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The byte of which the bodies consist. No head and no frame of a chunk has it.
const BYTE: u8 = 7;

/// Returns how many bytes of a body come until the connection ends.
async fn read_all(mut stream: TcpStream) -> usize {
    let (mut buf, mut read) = (vec![0; 256 * KIB], 0);
    while let Ok(bytes @ 1..) = soon("more bytes", stream.read(&mut buf)).await {
        read += buf[..bytes].iter().map(|byte| usize::from(*byte == BYTE)).sum::<usize>();
    }
    read
}

/// The bytes that the body has given. A mark is set for each sum, and for the drop of the body.
#[derive(Clone, Default)]
struct Given {
    bytes: Arc<AtomicUsize>,
    marks: Marks,
}

impl Given {
    /// A body of items of these `sizes`.
    fn body(self, sizes: impl Iterator<Item = usize> + Send + 'static) -> Body {
        let guard = self.marks.on_drop("dropped");
        Body::from_stream(stream::iter(sizes.map(move |size| {
            let _ = &guard;
            let sum = size + self.bytes.fetch_add(size, SeqCst);
            self.marks.set(format!("{sum} bytes"));
            Ok::<_, Infallible>(vec![BYTE; size])
        })))
    }
}

#[cancellable(stream, deadline = "1500ms")]
async fn items(Path(size): Path<usize>, State(given): State<Given>) -> Body {
    given.body(iter::repeat(size * KIB))
}

/// Items that grow from 180 to 380 KiB and begin again, behind one of another size.
#[cancellable(stream, deadline = "1500ms")]
async fn growing(Path(first): Path<usize>, State(given): State<Given>) -> Body {
    given.body(iter::once(first * KIB).chain([180 * KIB, 380 * KIB].into_iter().cycle()))
}

/// A reader stalls until the deadline has cut the stream, and then reads what the sockets hold. The server drops at most
/// `most` bytes. The deadline is not at a full second, because a blocked connection may write once in each sweep of the
/// server. It passes by the real clock, because a paused clock would pass it before the sockets are full.
async fn stalled(path: &str, most: usize) {
    let given = Given::default();
    let app = Router::new()
        .route("/items/{size}", get(items))
        .route("/growing/{first}", get(growing))
        .with_state(given.clone());
    let (at, _) = serve_as(app, |serve| serve).await;
    let stream = connect(at, path).await;
    given.marks.until("dropped").await;
    let given = given.bytes.load(SeqCst);
    let read = read_all(stream).await;
    let held = given - read;
    assert!(held > 0, "all of {given} bytes have gone out");
    assert!(held <= most, "of {given} bytes {read} have gone out");
}

#[tokio::test]
async fn a_stalled_reader_keeps_fifteen_small_items_waiting_over_http_1() {
    stalled("/items/4", 60 * KIB).await;
}

#[tokio::test]
async fn a_stalled_reader_keeps_less_than_a_buffer_waiting_over_http_1() {
    stalled("/items/64", 400 * KIB).await;
}

#[tokio::test]
async fn a_stalled_reader_keeps_one_large_item_waiting_over_http_1() {
    stalled("/items/380", 400 * KIB).await;
}

#[tokio::test]
async fn a_stalled_reader_keeps_a_buffer_and_an_item_waiting_of_items_that_grow_over_http_1() {
    // A batch of two such items would exceed hyper's buffer by a quarter. hyper would not poll the body if the sockets
    // were full within that quarter, so each run fills them at another place.
    join_all((1..=8).map(async |n| stalled(&format!("/growing/{}", n * 70), 780 * KIB).await))
        .await;
}

#[tokio::test]
async fn empty_items_do_not_stop_a_stream_over_http_1() {
    #[cancellable(stream)]
    async fn sparse() -> Body {
        let item = |n: usize| if n.is_multiple_of(1001) { vec![BYTE; 10] } else { Vec::new() };
        Body::from_stream(stream::iter((0..3003).map(move |n| Ok::<_, Infallible>(item(n)))))
    }
    for small in [false, true] {
        let app = Router::new().route("/", get(sparse));
        let (at, _) =
            serve_as(app, |serve| if small { serve.http1_max_buf_size(8 * KIB) } else { serve })
                .await;
        assert_eq!(read_all(connect(at, "/").await).await, 30, "small buffer: {small}");
    }
}

#[tokio::test]
async fn a_request_behind_a_stream_of_any_length_is_answered() {
    #[cancellable(stream)]
    async fn items(Path((items, empty)): Path<(usize, usize)>) -> Body {
        let item = move |n: usize| vec![BYTE; usize::from(n.is_multiple_of(empty + 1))];
        let items = (0..items * (empty + 1)).map(move |n| Ok::<_, Infallible>(item(n)));
        Body::from_stream(stream::iter(items))
    }
    let app = Router::new().route("/{items}/{empty}", get(items));
    let (at, _) = serve_as(app, |serve| serve).await;
    for (items, empty) in (1..50).flat_map(|items| [(items, 0), (items, 2)]) {
        let head = format!("GET /{items}/{empty} HTTP/1.1\r\nhost: test\r\n");
        let mut stream = TcpStream::connect(at).await.unwrap();
        let requests = format!("{head}\r\n{head}connection: close\r\n\r\n");
        stream.write_all(requests.as_bytes()).await.unwrap();
        assert_eq!(
            read_all(stream).await,
            2 * items,
            "{items} items, {empty} empty ones after each"
        );
    }
}

#[tokio::test]
async fn a_last_event_does_not_follow_a_piece_of_another_event() {
    #[cancellable(stream)]
    async fn long_events(State(marks): State<Marks>) -> (LastEvent, Response) {
        let event = format!("data: {}\n\n", "x".repeat(1000 * KIB));
        let events = stream::repeat_with(move || {
            marks.set("given");
            Ok::<_, Infallible>(event.clone())
        });
        let body = Body::from_stream(events);
        let response = Response::builder().header("content-type", "text/event-stream");
        (LastEvent::new(Event::default().data("bye")), response.body(body).unwrap())
    }
    let marks = Marks::default();
    let app = Router::new().route("/", get(long_events)).with_state(marks.clone());
    let server = Server::with(lifecycle(), app).await;
    let mut stream = connect(server.at, "/").await;
    marks.until("given").await;
    server.lifecycle.shutdown();
    let (mut text, mut buf) = (Vec::new(), vec![0; 64 * KIB]);
    while let Ok(bytes @ 1..) = soon("more bytes", stream.read(&mut buf)).await {
        text.extend_from_slice(&buf[..bytes]);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("data: xxx") && !text.contains("bye"), "{}", text.len());
    server.ended().await;
}

#[cancellable(stream)]
async fn endless(State(given): State<Given>) -> Body {
    given.body(iter::repeat(64 * KIB))
}

#[cancellable(stream)]
async fn endless_with_token(_token: RequestToken, State(given): State<Given>) -> Body {
    given.body(iter::repeat(64 * KIB))
}

#[tokio::test]
async fn a_stalled_reader_keeps_one_item_waiting_that_is_longer_than_the_buffer_over_http_1() {
    stalled("/items/16384", 16 << 20).await;
}

#[tokio::test]
async fn items_that_are_longer_than_the_buffer_arrive_whole_over_http_1() {
    const ITEMS: usize = 3;
    const LONG: usize = 1000 * KIB;
    #[cancellable(stream)]
    async fn items() -> Body {
        Body::from_stream(stream::iter((0..ITEMS).map(|_| Ok::<_, Infallible>(vec![BYTE; LONG]))))
    }
    let (at, _) = serve_as(Router::new().route("/", get(items)), |serve| serve).await;
    assert_eq!(read_all(connect(at, "/").await).await, ITEMS * LONG);
}

#[tokio::test]
async fn law_06_a_stream_that_is_one_long_item_stands_over_http_1() {
    const LONG: usize = 16 << 20;
    #[cancellable(stream, deadline = "300ms")]
    async fn one() -> Vec<u8> {
        vec![BYTE; LONG]
    }
    let (at, _) = serve_as(Router::new().route("/", get(one)), |serve| serve).await;
    let stream = connect(at, "/").await;
    // hyper has all of it before the deadline, and the client reads it after. This waits by the clock, because a deadline
    // that does nothing is no event.
    sleep(700 * MS).await;
    assert_eq!(read_all(stream).await, LONG);
}

/// A stream over HTTP/2 whose window ends with an item, so that hyper waits for the window with the next item in
/// hand. Returns how long it takes from the wait until the stream is reset, and the log.
async fn window_ends_with_an_item(path: &str, stop: bool) -> (Duration, Log) {
    let (log, given) = (Log::capture(), Given::default());
    let app = Router::new()
        .route("/bounded/{size}", get(items))
        .route("/endless", get(endless))
        .route("/token", get(endless_with_token))
        .with_state(given.clone());
    let builder = lifecycle().grace(9000 * MS).read_grace(8000 * MS);
    let server = Server::with(builder, app).await;
    let tcp = TcpStream::connect(server.at).await.unwrap();
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(128 << 10)
        .initial_connection_window_size(1 << 20)
        .handshake::<_, Bytes>(tcp)
        .await
        .unwrap();
    drop(tokio::spawn(connection));
    let mut send = send.ready().await.unwrap();
    let request = http::Request::get(format!("http://test{path}")).body(()).unwrap();
    let (response, _stream) = send.send_request(request, true).unwrap();
    let mut unread = response.await.unwrap().into_body();
    // The window takes two items, and hyper has one in hand.
    given.marks.until(&format!("{} bytes", 192 * KIB)).await;
    let since = Instant::now();
    if stop {
        server.lifecycle.shutdown();
    }
    let mut read = 0;
    let end = loop {
        // No window is given back.
        match soon("the reset", unread.data()).await {
            Some(Ok(data)) => read += data.len(),
            end => break end,
        }
    };
    assert!(end.is_some_and(|end| end.is_err_and(|error| error.is_reset())));
    assert!(read <= 128 * KIB);
    assert_eq!(given.bytes.load(SeqCst), 192 * KIB, "nothing was given while the window was shut");
    assert_eq!(server.lifecycle.in_flight().requests, 0);
    (since.elapsed(), log)
}

#[tokio::test]
async fn a_deadline_ends_a_stream_whose_window_is_shut_over_http_2() {
    let (elapsed, log) = window_ends_with_an_item("/bounded/64", false).await;
    assert!(elapsed < 3000 * MS, "{elapsed:?}");
    assert_eq!(log.with("deadline").len(), 1, "{log:?}");
}

#[tokio::test]
async fn a_shutdown_ends_a_stream_whose_window_is_shut_over_http_2() {
    let (elapsed, log) = window_ends_with_an_item("/endless", true).await;
    assert!(elapsed < 1000 * MS, "{elapsed:?}");
    assert_eq!(log.with("stream ended early").len(), 1, "{log:?}");
}

#[tokio::test]
async fn a_shutdown_gives_a_second_to_a_stream_with_a_token_whose_window_is_shut_over_http_2() {
    let (elapsed, log) = window_ends_with_an_item("/token", true).await;
    assert!(elapsed > 900 * MS && elapsed < 3000 * MS, "{elapsed:?}");
    assert_eq!(log.with("stream ended early").len(), 1, "{log:?}");
}
