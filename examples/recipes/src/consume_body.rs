//! How do I read the body in a middleware?
//!
//! The middleware reads the whole body, checks its `x-checksum`, and hands the bytes on. While it reads, the request is
//! already under its lifecycle: a client that leaves, a deadline or a shutdown ends it with the outcome `not_begun`. The
//! durable write begins after that, with a body that is whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use followthrough::routing::post;
use followthrough::{Router, durable_write};

/// The largest body, in bytes.
const LARGEST: usize = 64 * 1024;

/// The sum of all bytes of all letters; a clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Letters(Arc<AtomicU32>);

#[durable_write]
async fn receive(State(Letters(letters)): State<Letters>, letter: Bytes) -> StatusCode {
    tokio::task::yield_now().await; // the database
    letters.fetch_add(checksum(&letter), SeqCst);
    StatusCode::CREATED
}

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(u32::from(*byte)))
}

async fn check(request: Request, next: Next) -> Result<Response, Response> {
    let (head, body) = request.into_parts();
    let expected = head.headers.get("x-checksum").and_then(|value| value.to_str().ok());
    let expected: Option<u32> = expected.and_then(|value| value.parse().ok());
    let expected = expected.ok_or_else(|| {
        (StatusCode::BAD_REQUEST, "expected `x-checksum: <sum of the bytes>`").into_response()
    })?;
    let body = to_bytes(body, LARGEST).await.map_err(|error| {
        // Too large, or the client stopped in the middle.
        (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response()
    })?;
    if checksum(&body) != expected {
        let text = "the body is not the one that was sent";
        return Err((StatusCode::UNPROCESSABLE_ENTITY, text).into_response());
    }
    Ok(next.run(Request::from_parts(head, Body::from(body))).await)
}

/// Returns the routes.
pub fn app(letters: Letters) -> Router {
    Router::new()
        .route("/letters", post(receive))
        .layer(middleware::from_fn(check))
        .with_state(letters)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use followthrough::testing::disconnect_at_every_await;

    use super::*;
    use crate::ask::ask;

    fn letter(checksum: &str) -> Request<String> {
        let letter = Request::post("/letters").header("x-checksum", checksum);
        letter.body("\u{1}\u{2}".to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_leaves_during_its_upload_has_begun_no_write() {
        let letters = Letters::default();
        let mut sum = 0;
        let app = app(letters.clone());
        let summary = disconnect_at_every_await(app, letter("3"), async |cut| {
            sum += if cut.is_begun() || !cut.was_cut() { 3 } else { 0 };
            assert_eq!(letters.0.load(SeqCst), sum);
        })
        .await;
        assert!(summary.begun() > 0 && summary.begun() < summary.cut(), "{summary}");
    }

    #[tokio::test]
    async fn a_wrong_checksum_is_refused() {
        let letters = Letters::default();
        let app = app(letters.clone());
        assert_eq!(ask(&app, letter("three")).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(ask(&app, letter("4")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(letters.0.load(SeqCst), 0);
        assert_eq!(ask(&app, letter("3")).await.0, StatusCode::CREATED);
    }
}
