//! The extractor of a request's idempotency key.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::{
    idempotency::{Attempt, Counter, IDEMPOTENCY_KEY, IdempotencyKey, KeyRejection, Refusal},
    request,
};

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = KeyRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, KeyRejection> {
        extract(parts).map_err(KeyRejection)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = KeyRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, KeyRejection> {
        if parts.headers.contains_key(IDEMPOTENCY_KEY) {
            return extract(parts).map(Some).map_err(KeyRejection);
        }
        Ok(None)
    }
}

fn extract(parts: &Parts) -> Result<IdempotencyKey, Refusal> {
    let known = request::with(|request| {
        let writes = request.life().config.keyed_writes.clone();
        request.attempt = request.attempt.take().map(|attempt| attempt.next());
        (request.attempt.clone(), writes)
    });
    let (attempt, writes) = known.unwrap_or_default();
    let key = if let Some(attempt) = attempt {
        attempt.see(parts);
        Attempt::key(&attempt)
    } else {
        let values: Vec<_> = parts.headers.get_all(IDEMPOTENCY_KEY).iter().cloned().collect();
        IdempotencyKey::unrecorded(&values).map_err(Refusal::Key)
    };
    if let (Err(_), Some(writes)) = (&key, writes) {
        writes.tally.note(Counter::Refused);
    }
    key
}
