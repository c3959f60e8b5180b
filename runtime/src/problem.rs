//! Answers as RFC 9457 problem details.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};

use crate::cause::{Cancelled, Cause, Outcome};

/// Seconds after which another instance, or this one, is likely to have room.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The answer to a request that ended early (law 5).
pub(crate) fn cancelled(cancelled: Cancelled) -> Response {
    let status = cancelled.status();
    // Every word is ours, so nothing needs escaping.
    let body = format!(
        r#"{{"type":"about:blank","title":"{}","status":{},"detail":"{}","cause":"{}","outcome":"{}"}}"#,
        status.canonical_reason().unwrap_or("Client Closed Request"),
        status.as_u16(),
        detail(cancelled),
        cancelled.cause(),
        cancelled.outcome(),
    );
    let mut response = answer(status, body);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

const fn detail(cancelled: Cancelled) -> &'static str {
    match (cancelled.ended_by(), cancelled.outcome()) {
        (Cause::ClientDisconnected, _) => "the client closed the request",
        (Cause::DeadlineExceeded, Outcome::NotBegun) => {
            "the deadline passed before anything that lasts was begun"
        }
        (Cause::DeadlineExceeded, Outcome::Unknown) => {
            "the deadline passed and the work goes on; ask before repeating it"
        }
        (Cause::DeadlineExceeded, Outcome::Completed) => {
            "the deadline passed after the durable work had landed"
        }
        (Cause::ShuttingDown, _) => "the service is shutting down; try again",
        (Cause::LimitReached, _) => "too much durable work is in flight; try again",
        (Cause::TimeTooShort, _) => "too little time is left to begin this write; try again",
    }
}

/// The answer to a readiness probe.
pub(crate) fn readiness(ready: bool) -> Response {
    if ready {
        return Response::new(Body::from("ready"));
    }
    let mut response = answer(
        StatusCode::SERVICE_UNAVAILABLE,
        r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"the service is shutting down","cause":"shutting_down"}"#
            .to_owned(),
    );
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

fn answer(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
    response
}
