//! The time-out for the bytes of a request body.

use std::time::Duration;

use followthrough::{Serve, cancellable};
use followthrough_tests::{Marks, h1, h2c, lifecycle, serve_as};
use tokio::time::sleep;

use super::handlers::{FIVE_OF_A_HUNDRED, MS, governed, plain};

fn impatient(serve: Serve) -> Serve {
    serve.body_read_timeout(300 * MS)
}

#[tokio::test]
async fn an_upload_that_pauses_is_answered_408() {
    for app in [governed, plain] {
        let marks = Marks::default();
        let (at, lifecycle) = serve_as(app(&marks), impatient).await;
        let mut call = h1::raw(at, format!("POST /patient{FIVE_OF_A_HUNDRED}")).await;
        let answer = call.answer().await;
        assert_eq!(answer.status, 408, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        assert!(answer.body.contains(r#""cause":"body_read_timeout","outcome":"not_begun""#));
        let mut connection = h2c::connect(at).await;
        let mut call = connection.begin("POST", "/patient").await;
        call.data(b"hello");
        assert_eq!(call.answer().await.status, 408);
        assert!(!marks.has("begun"));
        lifecycle.shutdown();
        let report = lifecycle.drained().await;
        assert_eq!(report.cancelled.body_read_timeout, 2, "{report}");
    }
}

#[tokio::test]
async fn a_slow_but_steady_upload_survives() {
    let marks = Marks::default();
    let (at, _lifecycle) =
        serve_as(governed(&marks), |serve| serve.body_read_timeout(400 * MS)).await;
    let mut call =
        h1::raw(at, "POST /patient HTTP/1.1\r\nhost: test\r\ncontent-length: 20\r\n\r\n").await;
    for _ in 0..20 {
        sleep(50 * MS).await;
        call.more("x").await;
    }
    let answer = call.answer().await;
    assert_eq!((answer.status, answer.body.len()), (200, 20), "{answer:?}");
}

#[tokio::test]
async fn a_trickle_is_answered_408_once_it_is_slower_than_the_least_rate() {
    let marks = Marks::default();
    let faster = |serve: Serve| serve.body_min_rate(1000, 300 * MS);
    let (at, _lifecycle) = serve_as(governed(&marks), faster).await;
    let mut call =
        h1::raw(at, "POST /patient HTTP/1.1\r\nhost: test\r\ncontent-length: 9999\r\n\r\n").await;
    let trickle = async {
        loop {
            sleep(20 * MS).await;
            call.more_at_once(b"x");
        }
    };
    tokio::select! {
        biased;
        () = call.begins() => {}
        () = trickle => {}
    }
    let answer = call.answer().await;
    assert_eq!(answer.status, 408, "{answer:?}");
}

#[cancellable(read)]
async fn within(body: axum::body::Body) -> String {
    match axum::body::to_bytes(body, 1000).await {
        Ok(bytes) => format!("{} bytes", bytes.len()),
        Err(error) => format!("{error}"),
    }
}

#[tokio::test]
async fn a_body_that_its_handler_reads_ends_in_an_error() {
    let app = axum::Router::new().route("/", axum::routing::post(within));
    let (at, _lifecycle) = serve_as(app, impatient).await;
    let mut call = h1::raw(at, format!("POST /{FIVE_OF_A_HUNDRED}")).await;
    let answer = call.answer().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("no byte of the request body arrived for 300ms"), "{answer:?}");
}

#[tokio::test]
async fn a_grpc_call_may_pause_between_its_messages() {
    let app = axum::Router::new().route("/", axum::routing::post(within));
    let (at, _lifecycle) = serve_as(app, impatient).await;
    let head = "POST / HTTP/1.1\r\nhost: test\r\ncontent-type: application/grpc+proto\r\n";
    let mut call = h1::raw(at, format!("{head}content-length: 10\r\n\r\nhello")).await;
    let mut other = h1::raw(at, format!("POST /{FIVE_OF_A_HUNDRED}")).await;
    assert!(other.answer().await.body.contains("no byte"), "the time-out has passed");
    call.more("again").await;
    assert_eq!(call.answer().await.body, "10 bytes");
}

#[tokio::test]
async fn an_invalid_time_or_rate_is_refused() {
    let refused = async |set: fn(Serve) -> Serve, says: &str| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lifecycle = lifecycle().build().unwrap();
        let serve = followthrough::serve(listener, axum::Router::new()).lifecycle(lifecycle);
        let error = set(serve).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    };
    refused(|serve| serve.body_read_timeout(Duration::ZERO), "`body_read_timeout` is zero").await;
    refused(|serve| serve.body_min_rate(100, Duration::ZERO), "`body_min_rate`").await;
}
