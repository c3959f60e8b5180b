//! A client that leaves while an extractor reads its upload is a disconnect: 499.

use followthrough_tests::{Leaving, Marks, Server, h1, h2c};
use h2::Reason;
use tokio::time::sleep;

use super::handlers::{MS, governed, noting, plain};

/// The path, the media type, and the beginning of a body.
const UPLOADS: [(&str, &str, &str); 5] = [
    ("/json", "application/json", "{\"half"),
    ("/lands", "application/octet-stream", "half"),
    ("/patient", "text/plain", "half"),
    ("/form", "application/x-www-form-urlencoded", "a=half"),
    (
        "/multipart",
        "multipart/form-data; boundary=x",
        "--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nhalf",
    ),
];

fn head(path: &str, media: &str, begin: &str, chunked: bool) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: {media}\r\n");
    if chunked {
        let length = begin.len();
        format!("{head}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{begin}\r\n")
    } else {
        format!("{head}content-length: 500\r\n\r\n{begin}")
    }
}

/// Returns the mark of the hook. The multipart handler reads in its body, so it has begun.
fn ended(app: &str, path: &str) -> String {
    let outcome = if path == "/multipart" { "unknown" } else { "not_begun" };
    let handler = match app {
        "plain" if path != "/multipart" => "(before its handler)",
        _ => &path[1..],
    };
    format!("{handler} 499 client_disconnected {outcome}")
}

async fn is_told(server: Server, marks: &Marks, expected: &str, what: &str) {
    marks.until(expected).await;
    let report = server.stop().await;
    let told: Vec<_> = marks.all().into_iter().filter(|mark| mark.contains("499")).collect();
    assert_eq!(told, [expected], "{what}: once");
    assert!(!marks.has("begun"), "{what}: {:?}", marks.all());
    let cancelled = report.cancelled;
    assert_eq!((cancelled.client_disconnected, report.durable.begun), (1, 0), "{what}: {report}");
}

#[tokio::test]
async fn over_http1_every_reading_extractor_ends_with_its_client() {
    for (name, app) in [("governed", governed as fn(&Marks) -> axum::Router), ("plain", plain)] {
        for (path, media, begin) in UPLOADS {
            for chunked in [false, true] {
                for how in Leaving::ALL {
                    let marks = Marks::default();
                    let server = Server::with(noting(&marks), app(&marks)).await;
                    let call = h1::raw(server.at, head(path, media, begin, chunked)).await;
                    reading(&server).await;
                    let _kept = call.leave(how).await;
                    let what = format!("{name} {path} {how:?}, chunked: {chunked}");
                    is_told(server, &marks, &ended(name, path), &what).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn over_http2_every_reading_extractor_ends_with_its_client() {
    for (name, app) in [("governed", governed as fn(&Marks) -> axum::Router), ("plain", plain)] {
        for path in ["/lands", "/patient"] {
            for reason in [Some(Reason::CANCEL), Some(Reason::INTERNAL_ERROR), None] {
                let marks = Marks::default();
                let server = Server::with(noting(&marks), app(&marks)).await;
                let mut connection = h2c::connect(server.at).await;
                let mut call = connection.begin("POST", path).await;
                call.data(b"half");
                reading(&server).await;
                match reason {
                    Some(reason) => call.reset_with(reason),
                    None => connection.hang_up(),
                }
                let what = format!("{name} {path} {reason:?}");
                is_told(server, &marks, &ended(name, path), &what).await;
            }
        }
    }
}

/// Waits for the extractor to read, for which no event exists. A longer wait does no harm.
async fn reading(server: &Server) {
    while server.lifecycle.in_flight().requests < 1 {
        tokio::task::yield_now().await;
    }
    sleep(20 * MS).await;
}
