//! A deadline that passes before the body begins.

use std::time::Instant;

use followthrough::CallerDeadlines;
use followthrough_tests::{Marks, Server, h1, h2c};

use super::handlers::{DEADLINE, FIVE_OF_A_HUNDRED, governed, noting, plain};

async fn times_out(server: &Server, marks: &Marks, path: &str, handler: &str) {
    let sent = Instant::now();
    let mut call = h1::raw(server.at, format!("POST {path}{FIVE_OF_A_HUNDRED}")).await;
    let answer = call.answer().await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(answer.body.contains(r#""outcome":"not_begun""#), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"), "bytes are still to come");
    assert!(sent.elapsed() >= DEADLINE, "not before its time");
    let ended = format!("{handler} 504 deadline_exceeded not_begun");
    assert_eq!(marks.all(), std::slice::from_ref(&ended), "{path}");

    let mut connection = h2c::connect(server.at).await;
    let mut call = connection.begin("POST", path).await;
    call.data(b"hello");
    let answer = call.answer().await;
    assert_eq!(answer.status, 504);
    assert!(answer.whole && answer.body.contains("not_begun"), "{answer:?}");
    assert_eq!(marks.all(), [ended.clone(), ended], "{path}");
}

#[tokio::test]
async fn law_03_a_deadline_ends_the_wait_for_the_body_of_a_read() {
    let marks = Marks::default();
    let server = Server::with(noting(&marks), governed(&marks)).await;
    times_out(&server, &marks, "/takes", "takes").await;
}

#[tokio::test]
async fn law_03_a_deadline_ends_the_wait_for_the_body_of_a_durable_write() {
    let marks = Marks::default();
    let server = Server::with(noting(&marks), governed(&marks)).await;
    times_out(&server, &marks, "/lands", "lands").await;
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.cancelled.deadline_exceeded), (0, 2), "{report}");
}

#[tokio::test]
async fn the_default_deadline_ends_the_wait_and_names_the_handler() {
    let marks = Marks::default();
    let server = Server::with(noting(&marks).default_deadline(DEADLINE), governed(&marks)).await;
    times_out(&server, &marks, "/patient", "patient").await;
}

#[tokio::test]
async fn in_a_plain_router_the_default_deadline_ends_the_wait_for_an_upload() {
    let marks = Marks::default();
    let server = Server::with(noting(&marks).default_deadline(DEADLINE), plain(&marks)).await;
    times_out(&server, &marks, "/patient", "(before its handler)").await;
}

#[tokio::test]
async fn the_deadline_of_the_caller_ends_the_wait() {
    for app in [governed, plain] {
        let marks = Marks::default();
        let callers = CallerDeadlines::new().grpc_timeout();
        let server = Server::with(noting(&marks).caller_deadlines(callers), app(&marks)).await;
        let head = "POST /patient HTTP/1.1\r\nhost: test\r\ngrpc-timeout: 300m\r\n";
        let mut call = h1::raw(server.at, format!("{head}content-length: 100\r\n\r\nhello")).await;
        let answer = call.answer().await;
        assert_eq!(answer.status, 504, "{answer:?}");
        assert!(answer.body.contains("not_begun"), "{answer:?}");

        let mut connection = h2c::connect(server.at).await;
        let patience = ("grpc-timeout", "300m");
        let mut call = connection.begin_with("POST", "/patient", patience).await;
        call.data(b"hello");
        let answer = call.answer().await;
        assert_eq!(answer.status, 504, "{answer:?}");
        assert!(answer.whole && answer.body.contains("not_begun"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_extractor_that_waits_for_something_else_ends_with_the_deadline() {
    let marks = Marks::default();
    let server = Server::with(noting(&marks), governed(&marks)).await;
    let answer = h1::call(server.at, "POST", "/pooled").await;
    assert_eq!(answer.status, 504, "{answer:?}");
    let answer = h2c::connect(server.at).await.send("POST", "/pooled").await.answer().await;
    assert_eq!(answer.status, 504, "{answer:?}");
    let once = ["extracting", "extractor dropped", "pooled 504 deadline_exceeded not_begun"];
    assert_eq!(marks.all(), [once, once].concat());
}

#[tokio::test]
async fn middleware_that_waits_ends_with_the_deadline_of_the_service() {
    let marks = Marks::default();
    let server = Server::with(noting(&marks).default_deadline(DEADLINE), governed(&marks)).await;
    let answer = h1::call(server.at, "GET", "/behind").await;
    assert_eq!(answer.status, 504, "{answer:?}");
    let answer = h2c::connect(server.at).await.send("GET", "/behind").await.answer().await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(!marks.has("begun") && marks.has("middleware dropped"), "{:?}", marks.all());
}

#[tokio::test]
async fn an_exempt_handler_waits_for_its_upload_for_as_long_as_it_takes() {
    let marks = Marks::default();
    let server = Server::with(noting(&marks).default_deadline(DEADLINE), governed(&marks)).await;
    let mut late =
        h1::raw(server.at, "POST /exempted HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhe")
            .await;
    // The other request has the same deadline and began later, so both deadlines have passed.
    let mut other = h1::raw(server.at, format!("POST /patient{FIVE_OF_A_HUNDRED}")).await;
    assert_eq!(other.answer().await.status, 504);
    late.more("llo").await;
    assert_eq!(late.answer().await.body, "hello");
}
