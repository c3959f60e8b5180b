//! Log events that a client can repeat are counted, and its control characters never reach a line.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use followthrough::{Accepted, CallerDeadlines, Listener, cancellable, durable_write};
use followthrough_tests::{Line, Log, Marks, Server, h1, lifecycle, soon};
use http::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    "landed"
}

#[cancellable(read)]
async fn panics(headers: HeaderMap) -> &'static str {
    let name = headers.get("x-name").map(|name| String::from_utf8_lossy(name.as_bytes()));
    panic!("{}\n2026-01-01 ERROR forged by a client \u{1b}[2J", name.unwrap_or_default())
}

/// Sends `each` requests at once, and returns how many answers have `status`.
async fn answers(at: SocketAddr, each: usize, status: &str) -> usize {
    let mut stream = TcpStream::connect(at).await.expect("the server listens");
    let request = "POST /write HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";
    let last =
        "POST /write HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let (mut read, mut write) = stream.split();
    let all = request.repeat(each - 1) + last;
    let mut answers = String::new();
    let (sent, received) =
        tokio::join!(write.write_all(all.as_bytes()), read.read_to_string(&mut answers));
    sent.and(received.map(drop)).expect("the server answers all");
    answers.matches(&format!("HTTP/1.1 {status}")).count()
}

/// Returns the value of the field `count` of a line.
fn count(line: &Line) -> u64 {
    let count = line.text.split_once(" count=").expect("a count").1;
    count.split(' ').next().and_then(|count| count.parse().ok()).expect("a number")
}

/// Waits until a line of `what` has this count.
async fn until(log: &Log, what: &str, last: u64) -> Vec<Line> {
    soon(what, async {
        loop {
            let lines = log.with(what);
            if lines.last().is_some_and(|line| count(line) == last) {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[tokio::test]
async fn ten_thousand_refusals_at_the_durable_limit_make_a_few_lines_and_the_whole_count() {
    const CLIENTS: usize = 20;
    const EACH: usize = 500;
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new().route("/write", post(write)).with_state(marks.clone());
    let server = Server::with(lifecycle().max_durable_writes(1), app).await;
    let mut writing = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;

    let began = Instant::now();
    let mut clients = JoinSet::new();
    (0..CLIENTS).for_each(|_| drop(clients.spawn(answers(server.at, EACH, "503"))));
    let refused: usize = clients.join_all().await.into_iter().sum();
    assert_eq!(refused, CLIENTS * EACH);
    // No request comes any more, and the last count is logged all the same.
    let lines = until(&log, "request cancelled", 10_000).await;
    let most = u64::from(10_000_u64.ilog2()) + began.elapsed().as_secs() + 1;
    assert!(lines.len() as u64 <= most, "{} lines, {most} are allowed", lines.len());
    let fields = ["handler=", "cause=limit_reached", "outcome=not_begun", "status=503"];
    for line in &lines {
        assert!(fields.iter().all(|field| line.text.contains(field)), "{}", line.text);
    }

    marks.set("go");
    assert_eq!(writing.answer().await.status, 200);
    assert_eq!(server.stop().await.cancelled.refused, 10_000);
}

#[tokio::test]
async fn the_last_count_is_logged_at_the_end_of_a_shutdown_at_the_latest() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new().route("/write", post(write)).with_state(marks.clone());
    let server = Server::with(lifecycle().max_durable_writes(1), app).await;
    let mut writing = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    assert_eq!(answers(server.at, 7, "503").await, 7);
    marks.set("go");
    assert_eq!(writing.answer().await.status, 200);
    server.stop().await;
    let counts: Vec<_> = log.with("request cancelled").iter().map(count).collect();
    assert_eq!(counts.last(), Some(&7), "{counts:?}");
}

#[tokio::test]
async fn malformed_heads_and_failed_handshakes_are_counted_in_the_log_and_the_report() {
    let log = Log::capture();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let at = listener.local_addr().expect("it is bound");
    let lifecycle = lifecycle().build().expect("it is sound");
    let app = Router::new().route("/", get(async || "here"));
    let serve = followthrough::serve(Handshakes(listener), app).lifecycle(lifecycle.clone());
    let served = tokio::spawn(serve.into_future());
    for _ in 0..50 {
        let mut call = h1::raw(at, "HTTP\u{1}/ \r\n\r\n").await;
        assert_eq!(call.answer().await.status, 400);
    }
    for _ in 0..50 {
        h1::raw(at, "!\n2026 ERROR forged\u{1b}[2J").await.ends().await;
    }
    for what in ["a request's head is malformed, closing the connection", "the handshake failed"] {
        let lines = until(&log, what, 50).await;
        assert!(lines.len() < 20, "{} lines", lines.len());
        assert!(lines[0].text.contains("peer=127.0.0.1:"), "{}", lines[0].text);
    }
    lifecycle.shutdown();
    let report = soon("the end", served).await.expect("no panic").expect("the listener holds");
    let failed = report.failed_connections;
    assert_eq!((failed.malformed_heads, failed.failed_handshakes), (50, 50), "{report}");
    assert!(report.to_string().contains("50 failed handshakes, 50 malformed heads"), "{report}");
    no_line_has_a_control_character(&log);
}

/// Listens for clients whose first byte is not `!`.
struct Handshakes(TcpListener);

impl Listener for Handshakes {
    type Peer = SocketAddr;

    async fn accept(&mut self) -> io::Result<Accepted<SocketAddr>> {
        let (stream, peer) = self.0.accept().await?;
        Ok(Accepted::tcp(stream, peer).handshake(async |mut io, peer| {
            let mut said = [0; 24];
            let read = io.read(&mut said[..1]).await?;
            if said[0] != b'!' {
                return Ok(peer);
            }
            let more = io.read(&mut said[read..]).await?;
            Err(io::Error::other(String::from_utf8_lossy(&said[..read + more]).into_owned()))
        }))
    }

    fn name(&self) -> io::Result<String> {
        Ok("the listener of the test".to_owned())
    }
}

fn no_line_has_a_control_character(log: &Log) {
    for line in log.lines() {
        assert!(!line.text.contains(char::is_control), "{:?}", line.text);
    }
}

#[tokio::test]
async fn control_characters_of_a_client_are_escaped_in_every_line() {
    let log = Log::capture();
    let callers = CallerDeadlines::new().grpc_timeout();
    let app = Router::new().route("/", get(panics));
    let server = Server::with(lifecycle().caller_deadlines(callers), app).await;
    let head = "GET / HTTP/1.1\r\nhost: test\r\nx-name: a\tb\u{85}\r\ngrpc-timeout: 1\tS\r\n\r\n";
    h1::raw(server.at, head).await.ends().await;
    server.stop().await;
    let panicked = log.with("the handler panicked");
    let [line] = &panicked[..] else { panic!("{panicked:?}") };
    assert!(
        line.text.contains(r"a\tb\u{85}\n2026-01-01 ERROR forged by a client \u{1b}[2J"),
        "{}",
        line.text
    );
    assert_eq!(log.with(r"value=1\tS").len(), 1, "{:?}", log.lines());
    no_line_has_a_control_character(&log);
}
