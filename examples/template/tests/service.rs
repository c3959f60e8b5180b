//! The service over a socket: what it stores, what it refuses, and how it ends.

use std::net::SocketAddr;
use std::time::Duration;

use service::{Config, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends one request, and returns the status and the body of the answer.
async fn ask(at: SocketAddr, request: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.expect("the service listens");
    let head = format!(
        "{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("the service reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the service answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("the answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("the head has a status"), body.to_owned())
}

#[tokio::test]
async fn a_note_is_stored_and_read_back_and_the_service_ends_in_order() {
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        database: ":memory:".to_owned(),
        signals: false,
        ..Config::from(|_| None).expect("the defaults are valid")
    };
    let service = Service::start(&config).await.expect("the service starts");
    let (at, lifecycle) = (service.address(), service.lifecycle().clone());
    let running = tokio::spawn(service.run());

    assert_eq!(ask(at, "GET /ready", "").await.0, 200);
    assert_eq!(ask(at, "GET /health", "").await, (200, "ok\n".to_owned()));
    let stored = r#"{"id":1,"text":"buy tea"}"#;
    assert_eq!(ask(at, "POST /notes", r#"{"text":"buy tea"}"#).await, (201, stored.to_owned()));
    assert_eq!(ask(at, "GET /notes/1", "").await, (200, stored.to_owned()));
    for (status, request, body) in [
        (404, "GET /notes/2", ""),
        (400, "GET /notes/one", ""),
        (400, "POST /notes", "{"),
        (422, "POST /notes", r#"{"text":" "}"#),
        (422, "POST /notes", r#"{"text":"tea","extra":1}"#),
        (404, "GET /nothing", ""),
        (405, "DELETE /notes", ""),
    ] {
        let (is, problem) = ask(at, request, body).await;
        assert_eq!(is, status, "{request} {body}: {problem}");
        assert!(problem.contains(r#""detail":"#), "{request} {body}: {problem}");
    }

    lifecycle.shutdown();
    let ended = tokio::time::timeout(Duration::from_secs(10), running).await;
    let report = ended.expect("it ends").expect("it does not panic").expect("it served");
    // The blank text was refused within the write.
    assert_eq!((report.durable.completed, report.exit_code()), (2, 0), "{report}");
}
