//! The answers to keyed requests whose handler does not run.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::KeyError;
use crate::problem;

/// The rejection of an extractor [`IdempotencyKey`](super::IdempotencyKey): 400, or 500 if the service cannot tell whose
/// key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRejection(pub(crate) Refusal);

impl IntoResponse for KeyRejection {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// Why a keyed request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The header is missing or malformed: 400.
    Key(KeyError),
    /// The scope of the request has no principal: 400.
    NoPrincipal,
    /// The route does not tell the scope: 500.
    UnseenScope,
    /// The key was used for another request: 422.
    OtherRequest,
    /// The write runs, and too many retries wait for it, or another process runs it: 409 with `Retry-After`.
    Running,
    /// The process of the write has died: 409.
    Unknown,
    /// The write has landed, and its answer was too large to be stored: 409.
    NotKept,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, detail, outcome) = match self {
            Self::Key(error) => {
                return problem::key(StatusCode::BAD_REQUEST, &error.to_string(), None);
            }
            Self::NoPrincipal => (
                StatusCode::BAD_REQUEST,
                "an `Idempotency-Key` belongs to a client, and this request does not say which one sends it",
                None,
            ),
            Self::UnseenScope => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the service cannot tell whose `Idempotency-Key` this is",
                None,
            ),
            Self::OtherRequest => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "this `Idempotency-Key` was used for another request: send a new key for a new operation, and the \
                 same method, path and body when you repeat one",
                None,
            ),
            Self::Running => (
                StatusCode::CONFLICT,
                "the first request with this `Idempotency-Key` still runs; try again",
                Some("unknown"),
            ),
            Self::Unknown => (
                StatusCode::CONFLICT,
                "the process of the first request with this `Idempotency-Key` has died, and the work may be done; \
                 ask before you repeat it with a new key",
                Some("unknown"),
            ),
            Self::NotKept => (
                StatusCode::CONFLICT,
                "the first request with this `Idempotency-Key` is done, and its answer was too large to be kept",
                Some("completed"),
            ),
        };
        let mut response = problem::key(status, detail, outcome);
        if self == Self::Running {
            problem::invite_retry(&mut response);
        }
        response
    }
}
