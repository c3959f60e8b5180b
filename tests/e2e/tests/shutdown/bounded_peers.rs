//! A shutdown by a real signal ends within its grace, whatever a peer does, and names the
//! connections that it cuts.

#![cfg(unix)]

use std::time::Duration;

use followthrough_tests::{Exit, h1, h2c, ws};

use crate::scene::{GRACE, LIMIT, end, end_while, refused, server};

const MS: Duration = Duration::from_millis(1);

/// After the signal, the server has this long to read earlier bytes.
const SETTLE: [&str; 2] = ["--drain-delay-ms", "400"];

/// Asserts that the server ended with its grace and lost no work.
fn cut(exit: &Exit, expected: &[(&str, Vec<(&str, &str)>)]) {
    assert!(exit.took >= GRACE, "a response has the whole grace: {exit}");
    assert!(exit.took < LIMIT, "{exit}");
    assert_eq!(exit.code, Some(0), "a cut connection is not lost work: {exit}");
    assert!(exit.abandoned().is_empty(), "{exit}");
    assert_eq!(exit.cut(), expected, "{exit}");
}

/// Asserts that the connection was closed with the read grace, or before, and is not in the report.
fn closed_early(exit: &Exit) {
    // The other write ends after 500 ms, and the read grace after 700 ms at most.
    assert!(exit.took < GRACE, "it does not hold the shutdown to its end: {exit}");
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(exit.abandoned().is_empty() && exit.cut().is_empty(), "{exit}");
}

#[tokio::test]
async fn half_a_request_head_is_cut_when_the_read_grace_is_over() {
    let server = server(&SETTLE).await;
    let mut half = h1::raw(server.at, "POST /quick HTTP/1.1\r\nhost: te").await;
    let exit = end_while(server, half.ends()).await;
    closed_early(&exit);
}

#[tokio::test]
async fn half_a_request_head_on_a_used_connection_is_cut_when_the_read_grace_is_over() {
    let server = server(&SETTLE).await;
    let mut half = h1::send(server.at, "GET", "/ready").await;
    assert_eq!(half.answer().await.status, 200);
    half.more("POST /quick HTTP/1.1\r\nhost: te").await;
    let exit = end_while(server, half.ends()).await;
    closed_early(&exit);
}

#[tokio::test]
async fn a_head_that_is_whole_within_the_read_grace_is_answered() {
    let settings = ["--grace-ms", "9000", "--drain-delay-ms", "1000", "--read-grace-ms", "4000"];
    let server = server(&settings).await;
    let at = server.at;
    let mut half = h1::raw(at, "POST /quick HTTP/1.1\r\nhost: te").await;
    let exit = end_while(server, async {
        refused(at).await;
        half.more("st\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(half.answer().await.status, 201);
    })
    .await;
    assert_eq!((exit.code, exit.durable("completed")), (Some(0), 2), "{exit}");
    assert!(exit.took < 5000 * MS, "{exit}");
}

#[tokio::test]
async fn half_an_http2_preface_is_cut_when_the_read_grace_is_over() {
    let server = server(&SETTLE).await;
    let mut half = h1::raw(server.at, "PRI * HTTP/2.0\r\n\r\nS").await;
    let exit = end_while(server, half.ends()).await;
    closed_early(&exit);
}

#[tokio::test]
async fn silent_connections_are_cut_when_the_read_grace_is_over() {
    let server = server(&[]).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(h1::raw(server.at, "").await);
    }
    let exit = end_while(server, async {
        for connection in &mut silent {
            connection.ends().await;
        }
    })
    .await;
    closed_early(&exit);
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let server = server(&["--grace-ms", "9000", "--read-grace-ms", "4000"]).await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        let mut connection = h1::send(server.at, "GET", "/ready").await;
        assert_eq!(connection.answer().await.status, 200);
        idle.push(connection);
    }
    let mut over_http2 = h2c::connect(server.at).await;
    assert_eq!(over_http2.send("GET", "/ready").await.answer().await.status, 200);
    let exit = end_while(server, async {
        for connection in &mut idle {
            connection.ends().await;
        }
    })
    .await;
    assert!(exit.took < 4000 * MS, "not even the read grace: {exit}");
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(exit.abandoned().is_empty() && exit.cut().is_empty(), "{exit}");
}

#[tokio::test]
async fn an_http2_peer_that_answers_no_ping_is_bounded() {
    let server = server(&[]).await;
    let mute = h1::raw(server.at, h2c::first_bytes(None)).await;
    mute.begins().await;
    let exit = end(server).await;
    assert!(exit.took < LIMIT, "{exit}");
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(exit.abandoned().is_empty(), "{exit}");
    // The connection has no request, so the server may close it earlier.
    if exit.elapsed() >= GRACE {
        assert_eq!(exit.cut(), [("http/2", vec![])], "{exit}");
    } else {
        assert!(exit.cut().is_empty(), "{exit}");
    }
}

#[tokio::test]
async fn a_write_of_an_http2_peer_that_answers_no_ping_lands() {
    let mut server = server(&[]).await;
    let _mute = h1::raw(server.at, h2c::first_bytes(Some(("POST", "/quick")))).await;
    server.begun("quick").await;
    let exit = end(server).await;
    assert!(exit.took < LIMIT, "{exit}");
    assert_eq!((exit.code, exit.durable("completed")), (Some(0), 2), "{exit}");
    assert!(exit.cut().iter().all(|(_, requests)| requests.is_empty()), "{exit}");
}

#[tokio::test]
async fn a_client_that_does_not_read_64_mib_is_cut_by_name() {
    let server = server(&[]).await;
    let unread = h1::send(server.at, "GET", "/big").await;
    unread.begins().await;
    let exit = end(server).await;
    cut(&exit, &[("http/1.1", vec![("big", "response")])]);
    let connection = &exit.report["connections_cut"][0];
    assert_eq!(connection["peer"], unread.from().to_string(), "{exit}");
    assert_eq!(connection["state"], "answering", "{exit}");
    let big = &connection["requests"][0];
    let location = big["location"].as_str().unwrap();
    assert!(location.starts_with("tests/e2e/src/bin/bounded-server.rs:"), "{exit}");
    assert!(big["age_ms"].as_u64() >= Some(2000), "{exit}");
    assert!(exit.text.contains("big") && exit.text.contains(location), "{exit}");
}

#[tokio::test]
async fn a_client_that_does_not_read_64_mib_of_a_plain_handler_is_cut() {
    let server = server(&[]).await;
    let unread = h1::send(server.at, "GET", "/plain/big").await;
    unread.begins().await;
    let exit = end(server).await;
    cut(&exit, &[("http/1.1", vec![("(no policy)", "response")])]);
}

#[tokio::test]
async fn an_http2_client_that_does_not_read_64_mib_is_cut_by_name() {
    let mut server = server(&[]).await;
    let mut connection = h2c::connect(server.at).await;
    let _unread = connection.send("GET", "/big").await;
    server.begun("big").await;
    let beside = connection.send("POST", "/quick").await;
    server.begun("quick").await;
    let exit = end_while(server, async {
        assert_eq!(beside.answer().await.status, 201, "another stream goes on");
    })
    .await;
    cut(&exit, &[("http/2", vec![("big", "response")])]);
    assert_eq!(exit.durable("completed"), 2, "{exit}");
}

#[tokio::test]
async fn an_http2_peer_that_answers_nothing_and_reads_nothing_is_cut_by_name() {
    let server = server(&[]).await;
    let mute = h1::raw(server.at, h2c::first_bytes(Some(("GET", "/big")))).await;
    mute.begins().await;
    let exit = end(server).await;
    cut(&exit, &[("http/2", vec![("big", "response")])]);
}

#[tokio::test]
async fn an_event_stream_ends_cleanly_with_the_signal() {
    let server = server(&["--grace-ms", "9000", "--read-grace-ms", "4000"]).await;
    let mut events = h1::send(server.at, "GET", "/sse").await;
    events.until("data: tick").await;
    let exit = end_while(server, async {
        events.until("0\r\n\r\n").await;
    })
    .await;
    assert!(exit.took < 4000 * MS, "not even the read grace: {exit}");
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(exit.abandoned().is_empty() && exit.cut().is_empty(), "{exit}");
}

#[tokio::test]
async fn an_event_stream_of_a_plain_handler_is_cut() {
    let server = server(&[]).await;
    let mut events = h1::send(server.at, "GET", "/plain/sse").await;
    events.until("data: tick").await;
    let exit = end(server).await;
    cut(&exit, &[("http/1.1", vec![("(no policy)", "response")])]);
}

#[tokio::test]
async fn a_stream_whose_last_item_is_not_read_is_cut_by_name() {
    let mut server = server(&[]).await;
    let unread = h1::send(server.at, "GET", "/one-item").await;
    server.begun("one item").await;
    unread.begins().await;
    let exit = end(server).await;
    cut(&exit, &[("http/1.1", vec![("one_item", "response")])]);
}

#[tokio::test]
async fn a_stream_whose_long_items_are_not_read_ends_when_the_service_stops_accepting() {
    let mut server = server(&[]).await;
    let _unread = h1::send(server.at, "GET", "/flood").await;
    server.begun("flood").await;
    let exit = end(server).await;
    closed_early(&exit);
}

#[tokio::test]
async fn a_web_socket_that_follows_its_token_closes_cleanly() {
    let mut server = server(&["--grace-ms", "9000", "--read-grace-ms", "4000"]).await;
    let mut socket = ws::open(server.at, "/polite/ws").await;
    server.begun("polite ws").await;
    let exit = end_while(server, async {
        assert_eq!(socket.close_code().await, Some(1001));
        socket.send(ws::Opcode::Close, &1001_u16.to_be_bytes()).await;
        socket.ends().await;
    })
    .await;
    assert!(exit.took < 9000 * MS, "{exit}");
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(exit.abandoned().is_empty() && exit.cut().is_empty(), "{exit}");
}

#[tokio::test]
async fn a_web_socket_whose_client_ignores_close_is_cut_by_name() {
    let mut server = server(&[]).await;
    let mut socket = ws::open(server.at, "/polite/ws").await;
    server.begun("polite ws").await;
    let exit = end_while(server, async {
        assert_eq!(socket.close_code().await, Some(1001));
    })
    .await;
    cut(&exit, &[("http/1.1", vec![("polite_ws", "upgraded")])]);
}

#[tokio::test]
async fn a_web_socket_whose_server_ignores_its_token_is_cut_by_name() {
    let mut server = server(&[]).await;
    let mut socket = ws::open(server.at, "/ws").await;
    server.begun("ws").await;
    socket.send(ws::Opcode::Text, b"still there?").await;
    let exit = end(server).await;
    cut(&exit, &[("http/1.1", vec![("ws", "upgraded")])]);
}

#[tokio::test]
async fn a_web_socket_of_a_plain_handler_is_cut() {
    let mut server = server(&[]).await;
    let _socket = ws::open(server.at, "/plain/ws").await;
    server.begun("ws").await;
    let exit = end(server).await;
    cut(&exit, &[("http/1.1", vec![("(no policy)", "upgraded")])]);
}

#[tokio::test]
async fn a_silent_connection_may_still_ask_within_the_read_grace() {
    let server = server(&["--grace-ms", "9000", "--read-grace-ms", "4000"]).await;
    let at = server.at;
    let mut silent = h1::raw(at, "").await;
    let exit = end_while(server, async {
        refused(at).await;
        silent.more("POST /quick HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(silent.answer().await.status, 201);
    })
    .await;
    assert_eq!(exit.durable("completed"), 2, "{exit}");
}
