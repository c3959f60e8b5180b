//! Answers in the form of RFC 9457 problem details.

use std::sync::OnceLock;

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};

use crate::cause::{Cancelled, Cause, Fate, Outcome};

/// Seconds after which another instance, or this one, is likely to have room.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Returns the answer to a request that ended early (law 5).
pub(crate) fn cancelled(cancelled: Cancelled) -> Response {
    const KINDS: usize = Cause::COUNT * Cause::COUNT * Outcome::COUNT * Fate::COUNT;
    /// Each text is formatted once, because a shutdown may need a hundred thousand of them at a time.
    static TEXTS: OnceLock<Vec<OnceLock<String>>> = OnceLock::new();
    let (status, cause, outcome) = (cancelled.status(), cancelled.cause(), cancelled.outcome());
    let causes = cancelled.ended_by() as usize * Cause::COUNT + cause as usize;
    let work = outcome as usize * Fate::COUNT + cancelled.fate() as usize;
    // Not an array, which would take 14 kB of every program.
    let texts = TEXTS.get_or_init(|| (0..KINDS).map(|_| OnceLock::new()).collect());
    let text = &texts[causes * (Outcome::COUNT * Fate::COUNT) + work];
    let text = text.get_or_init(|| text_of(status, detail(cancelled), cause, outcome));
    ended(status, Body::from(text.as_str()))
}

/// Returns the answer to a request with an idempotency key whose write may land (law K10).
pub(crate) fn cancelled_with_key(cancelled: Cancelled) -> Response {
    let detail = match cancelled.ended_by() {
        Cause::DeadlineExceeded => {
            "the deadline passed and the work goes on; repeat the request with the same `Idempotency-Key`"
        }
        Cause::ShuttingDown => {
            "the service is shutting down; repeat the request with the same `Idempotency-Key`"
        }
        _ => "the work may land; repeat the request with the same `Idempotency-Key`",
    };
    let (status, cause, outcome) = (cancelled.status(), cancelled.cause(), cancelled.outcome());
    let mut response = ended(status, Body::from(text_of(status, detail, cause, outcome)));
    invite_retry(&mut response);
    response
}

/// Returns the answer of a handler whose call to another service was cancelled.
pub(crate) fn cancelled_call(status: StatusCode, cause: Cause, outcome: Outcome) -> Response {
    let detail = match (cause, outcome) {
        (Cause::ClientDisconnected, _) => "the client closed the request",
        (Cause::ShuttingDown, Outcome::NotBegun) => "the service is shutting down; try again",
        (Cause::ShuttingDown, _) => {
            "the service is shutting down and the work may be done; ask before repeating it"
        }
        (_, Outcome::NotBegun) => "another service did not answer before the deadline",
        _ => {
            "another service did not answer before the deadline and the work may be done; ask \
             before repeating it"
        }
    };
    ended(status, Body::from(text_of(status, detail, cause, outcome)))
}

/// Returns the answer of a handler whose call to another service failed.
pub(crate) fn failed_call() -> Response {
    answer(
        StatusCode::BAD_GATEWAY,
        Body::from(
            r#"{"type":"about:blank","title":"Bad Gateway","status":502,"detail":"a call to another service failed"}"#,
        ),
    )
}

fn text_of(status: StatusCode, detail: &str, cause: Cause, outcome: Outcome) -> String {
    // All texts are constants of this crate, so nothing needs escaping.
    format!(
        r#"{{"type":"about:blank","title":"{}","status":{},"detail":"{detail}","cause":"{cause}","outcome":"{outcome}"}}"#,
        status.canonical_reason().unwrap_or("Client Closed Request"),
        status.as_u16(),
    )
}

fn ended(status: StatusCode, body: Body) -> Response {
    let mut response = answer(status, body);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        invite_retry(&mut response);
    }
    response
}

const fn detail(cancelled: Cancelled) -> &'static str {
    match (cancelled.ended_by(), cancelled.outcome()) {
        (Cause::ClientDisconnected, _) => "the client closed the request",
        (cause, Outcome::Unknown) => unknown(cause, cancelled.fate()),
        (Cause::DeadlineExceeded, Outcome::NotBegun) => {
            "the deadline passed before any lasting work was begun"
        }
        (Cause::DeadlineExceeded, Outcome::Completed) => {
            "the deadline passed after the durable work had landed"
        }
        (Cause::ShuttingDown, _) => "the service is shutting down; try again",
        (Cause::LimitReached, _) => "too much work is in flight; try again",
        (Cause::BodyReadTimeout, _) => "the body of the request did not come in time",
        (Cause::TimeTooShort, _) => "too little time is left to begin this write; try again",
        (Cause::KeyStoreUnavailable, _) => {
            "the store of idempotency keys does not answer; try again"
        }
        (Cause::AnsweredByKey, _) => "the answer belongs to a request with an `Idempotency-Key`",
    }
}

const fn unknown(ended_by: Cause, fate: Fate) -> &'static str {
    match (ended_by, fate) {
        (_, Fate::Elsewhere) => {
            "an earlier attempt at this request may land or has landed; ask before repeating it"
        }
        (Cause::DeadlineExceeded, Fate::GoesOn) => {
            "the deadline passed and the work goes on; ask before repeating it"
        }
        (Cause::DeadlineExceeded, Fate::Dropped) => {
            "the deadline passed and the work was stopped where it was: some of it may have \
             landed, and it may be repeated"
        }
        (Cause::DeadlineExceeded, Fate::Undone) => {
            "the deadline passed and the work is being undone; ask before repeating it"
        }
        (Cause::ShuttingDown, Fate::Undone) => {
            "the service is shutting down and the work is being undone; try again"
        }
        (Cause::ShuttingDown, _) => "the service is shutting down; try again",
        (Cause::TimeTooShort, _) => "too little time is left to begin this write; try again",
        (Cause::LimitReached, _) => "too much durable work is in flight; try again",
        (Cause::ClientDisconnected, _) => "the client closed the request",
        (Cause::BodyReadTimeout, _) => "the body of the request did not come in time",
        (Cause::KeyStoreUnavailable, _) => {
            "the store of idempotency keys does not answer; try again"
        }
        (Cause::AnsweredByKey, _) => "the answer belongs to a request with an `Idempotency-Key`",
    }
}

/// Returns the answer to a keyed request whose handler does not run. No `detail` needs an escape.
pub(crate) fn key(status: StatusCode, detail: &str, outcome: Option<&str>) -> Response {
    let outcome = outcome.map(|outcome| format!(r#","outcome":"{outcome}""#)).unwrap_or_default();
    let text = format!(
        r#"{{"type":"about:blank","title":"{}","status":{},"detail":"{detail}"{outcome}}}"#,
        status.canonical_reason().unwrap_or_default(),
        status.as_u16(),
    );
    answer(status, Body::from(text))
}

/// Adds `Retry-After` to an answer that has none.
pub(crate) fn invite_retry(response: &mut Response) {
    response.headers_mut().entry(header::RETRY_AFTER).or_insert(RETRY_AFTER);
}

/// Returns the answer to a readiness probe.
pub(crate) fn readiness(ready: bool) -> Response {
    if ready {
        return Response::new(Body::from("ready"));
    }
    let mut response = answer(
        StatusCode::SERVICE_UNAVAILABLE,
        Body::from(
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"the service is shutting down","cause":"shutting_down"}"#,
        ),
    );
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// Returns the answer to a readiness probe of a service whose checks of these names fail. The names need no
/// escape.
pub(crate) fn not_ready(checks: &str) -> Response {
    let text = format!(
        r#"{{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"not ready: {checks}"}}"#
    );
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, Body::from(text));
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

fn answer(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
    response
}
