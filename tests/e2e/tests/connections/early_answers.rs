//! Responses that are sent before the whole request has arrived.
//!
//! Closing a socket with unread bytes sends a reset, which may overtake the response. So the server
//! reads on for a while after an early response, which says `Connection: close`.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    routing::{get, post},
};
use followthrough::{cancellable, durable_write, exempt};
use followthrough_tests::{Marks, Server, h1, lifecycle, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

/// How long the server reads on after the response.
const LINGER: Duration = Duration::from_secs(2);
/// Several times the size of both sockets' buffers.
const LARGE: usize = 10 << 20;

#[exempt(reason = "refuses at once")]
async fn refuses() -> http::StatusCode {
    http::StatusCode::SERVICE_UNAVAILABLE
}

#[durable_write]
async fn holds(State(marks): State<Marks>) -> &'static str {
    marks.set("held");
    marks.until("go").await;
    "done"
}

#[durable_write]
async fn writes() -> &'static str {
    "written"
}

#[cancellable(read, deadline = "100ms")]
async fn waits(request: Request) {
    let _unread = request;
    std::future::pending::<()>().await;
}

fn app(marks: Marks) -> Router {
    Router::new()
        .route("/refuses", post(refuses))
        .route("/holds", post(holds))
        .route("/writes", post(writes))
        .route("/waits", post(waits))
        .route("/up", get(async || "up"))
        .with_state(marks)
}

async fn server() -> Server {
    Server::start(app(Marks::default())).await
}

fn head(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n")
}

/// Sends the whole request before it reads the response, as simple clients do.
async fn upload(at: SocketAddr, path: &str, length: usize) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(head(path, length).as_bytes()).await?;
    stream.write_all(&vec![b'x'; length]).await?;
    let mut answer = String::new();
    soon("the answer", stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

/// Waits until the server has closed the connection of `client`.
async fn gone(stream: &mut TcpStream) -> Instant {
    soon("the end of the connection", async {
        // A reset stops a client that sends for ever.
        while stream.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    Instant::now()
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_the_early_answer() {
    let server = server().await;
    for _ in 0..20 {
        let answer = upload(server.at, "/refuses", LARGE).await.expect("no reset comes first");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_write_that_is_refused_at_the_limit_is_refused_before_its_body_has_come() {
    let marks = Marks::default();
    let server = Server::with(lifecycle().max_durable_writes(1), app(marks.clone())).await;
    let mut held = h1::send(server.at, "POST", "/holds").await;
    marks.until("held").await;
    for _ in 0..20 {
        let answer = upload(server.at, "/writes", LARGE).await.expect("no reset comes first");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    marks.set("go");
    assert_eq!(held.answer().await.body, "done");
    server.stop().await;
}

#[tokio::test]
async fn a_small_body_that_is_not_read_costs_no_connection() {
    let server = server().await;
    let mut call = h1::raw(server.at, head("/refuses", 5) + "small").await;
    let answer = call.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (503, None), "{answer:?}");
    call.more("GET /up HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(call.answer().await.body, "up");
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_before_the_body_has_come_says_that_the_connection_ends() {
    let server = server().await;
    let mut call = h1::raw(server.at, head("/waits", 100) + "half").await;
    let answer = call.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (504, Some("close")), "{answer:?}");
    call.ends().await;
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered_although_more_of_it_comes() {
    let server = server().await;
    let header = "x-long: ".to_owned() + &"x".repeat(LARGE) + "\r\n\r\n";
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        stream.write_all(b"GET /up HTTP/1.1\r\nhost: test\r\n").await.unwrap();
        stream.write_all(header.as_bytes()).await.expect("no reset comes first");
        let mut answer = String::new();
        soon("the answer", stream.read_to_string(&mut answer)).await.expect("nor now");
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn requests_behind_the_last_one_do_not_reset_its_answer() {
    let server = server().await;
    let last = "GET /up HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let more = "GET /up HTTP/1.1\r\nhost: test\r\n\r\n".repeat(300_000);
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        stream.write_all(last.as_bytes()).await.unwrap();
        stream.write_all(more.as_bytes()).await.expect("no reset comes first");
        let mut answer = String::new();
        soon("the answer", stream.read_to_string(&mut answer)).await.expect("nor now");
        assert!(answer.ends_with("\r\n\r\nup"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_more_than_it_promised_gets_its_answers() {
    let server = server().await;
    let more = "\0".repeat(LARGE);
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        stream.write_all((head("/refuses", 5) + "small").as_bytes()).await.unwrap();
        stream.write_all(more.as_bytes()).await.expect("no reset comes first");
        let mut answers = String::new();
        soon("the answers", stream.read_to_string(&mut answers)).await.expect("nor now");
        assert!(answers.starts_with("HTTP/1.1 503"), "{answers}");
        assert!(
            answers.contains("HTTP/1.1 400"),
            "the following bytes are not a request: {answers}"
        );
    }
    server.stop().await;
}

/// The server reads from a client that trickles on after an early response for the time of
/// `LINGER`.
#[tokio::test]
async fn a_client_that_trickles_on_for_ever_is_cut_in_time() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.at).await.unwrap();
    stream.write_all(head("/refuses", LARGE).as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    let answered = Instant::now();
    let lasted = gone(&mut stream).await - answered;
    assert!(lasted * 4 >= LINGER * 3, "it is read for a while: {lasted:?}");
    assert!(lasted < LINGER * 3, "{lasted:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_floods_is_cut_by_bytes_and_delays_no_other_client() {
    let server = server().await;
    let at = server.at;
    let flood = tokio::spawn(async move {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(head("/refuses", usize::MAX >> 1).as_bytes()).await.unwrap();
        let piece = vec![b'x'; 1 << 20];
        let mut sent = 0_usize;
        while stream.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
        sent
    });
    for _ in 0..100 {
        assert_eq!(h1::call(at, "GET", "/up").await.body, "up");
    }
    let sent = soon("the end of the flood", flood).await.unwrap();
    // Besides the bytes that the server reads, the buffers of both sockets take some.
    assert!(sent <= (64 << 20) + (32 << 20), "{sent} bytes were taken");
    server.stop().await;
}

/// The server does not wait for a client that has left.
#[tokio::test]
async fn a_client_that_has_left_does_not_delay_the_end() {
    let server = server().await;
    let mut call = h1::raw(server.at, head("/refuses", LARGE) + "some").await;
    assert_eq!(call.answer().await.status, 503);
    call.hang_up();
    let report = server.stop().await;
    assert!(report.elapsed < LINGER / 2, "{report}");
    assert!(report.connections_cut.is_empty(), "{report}");
}

#[tokio::test]
async fn the_end_of_the_drain_ends_the_reading_and_names_the_connection() {
    let grace = Duration::from_millis(400);
    let server = Server::with(lifecycle().grace(grace), app(Marks::default())).await;
    let mut call = h1::raw(server.at, head("/refuses", LARGE) + "some").await;
    assert_eq!(call.answer().await.status, 503);
    let report = server.stop().await;
    assert!(report.elapsed < LINGER, "{report}");
    let [cut] = &report.connections_cut[..] else { panic!("one was open: {report}") };
    assert_eq!(cut.state, followthrough::report::ConnectionState::Closing, "{report}");
    assert!(cut.requests.is_empty(), "it was answered: {report}");
}

/// hyper has read the small body by itself, so no bytes are outstanding.
#[tokio::test]
async fn a_connection_that_is_kept_after_an_unread_body_does_not_hold_a_drain() {
    let server = server().await;
    let mut idle = h1::raw(server.at, head("/refuses", 5) + "small").await;
    assert_eq!(idle.answer().await.status, 503);
    let report = server.stop().await;
    assert!(report.elapsed < LINGER / 2, "{report}");
    idle.ends().await;
}
