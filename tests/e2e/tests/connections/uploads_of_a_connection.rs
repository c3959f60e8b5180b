//! Uploads of one HTTP/2 connection do not block each other.

use axum::{
    Router,
    body::Body,
    extract::State,
    routing::{post, put},
};
use followthrough_tests::{Marks, h2c, serve_as};
use http::HeaderMap;

/// Waits without reading its body.
async fn keep_unread(State(marks): State<Marks>, body: Body) {
    marks.set("waiting");
    std::future::pending::<()>().await;
    drop(body);
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/unread", post(keep_unread))
        .route("/read", put(async |body: bytes::Bytes| body.len().to_string()))
        .with_state(marks.clone())
}

/// Larger than any window, and smaller than the limit of a body extractor.
static UPLOAD: [u8; 1 << 20] = [7; 1 << 20];

async fn another_upload_completes_beside(unread: usize) {
    let marks = Marks::default();
    let (at, _) = serve_as(app(&marks), |serve| serve).await;
    let mut connection = h2c::connect(at).await;
    let mut kept = Vec::new();
    for _ in 0..unread {
        let mut call = connection.begin("POST", "/unread").await;
        call.data(&UPLOAD);
        kept.push(call);
    }
    marks.until("waiting").await;
    let mut other = connection.begin("PUT", "/read").await;
    other.data(&UPLOAD);
    other.finish(HeaderMap::new());
    assert_eq!(other.answer().await.body, UPLOAD.len().to_string());
}

#[tokio::test]
async fn one_unread_upload_does_not_stop_the_next() {
    another_upload_completes_beside(1).await;
}

#[tokio::test]
async fn as_many_unread_uploads_as_a_connection_may_have_do_not_stop_the_last() {
    another_upload_completes_beside(199).await;
}
