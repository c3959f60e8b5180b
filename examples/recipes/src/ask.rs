//! A client in the process, for the tests.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use followthrough::Router;
use tower::ServiceExt;

/// Sends a request. Returns the status and the body of the answer.
pub(crate) async fn ask(app: &Router, request: Request<String>) -> (StatusCode, String) {
    let Ok(answer) = app.clone().oneshot(request.map(Body::from)).await;
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1024 * 1024).await.expect("the body is whole");
    (status, String::from_utf8(body.into()).expect("the body is text"))
}

/// Returns a `GET`.
pub(crate) fn get(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).expect("the request is valid")
}

/// Returns a request with a JSON document.
pub(crate) fn json(method: &str, path: &str, document: &str) -> Request<String> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(document.to_owned())
        .expect("the request is valid")
}
