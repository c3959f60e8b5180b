//! A service that has keys of its own, in a type of the same name.

#![forbid(unsafe_code)]
#![deny(warnings)]

use axum::{extract::FromRequestParts, http::request::Parts};
use followthrough::{cancellable, durable_write, exempt, routing::post, Router};
use std::convert::Infallible;

struct IdempotencyKey(u64);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(7))
    }
}

impl<S: Sync> axum::extract::OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(Some(Self(7)))
    }
}

#[durable_write]
async fn place(IdempotencyKey(key): IdempotencyKey) -> String {
    key.to_string()
}

#[cancellable(idempotent_write)]
async fn rename(key: Option<IdempotencyKey>) -> String {
    key.map_or_else(String::new, |key| key.0.to_string())
}

#[exempt(reason = "answers at once")]
async fn show(key: crate::IdempotencyKey) -> String {
    key.0.to_string()
}

#[durable_write(idempotency_key = "optional")]
async fn both(key: IdempotencyKey) -> String {
    key.0.to_string()
}

#[durable_write]
async fn generic<T: Send + 'static>(key: IdempotencyKey) -> String {
    format!("{} of {}", key.0, std::any::type_name::<T>())
}

struct Orders;

impl Orders {
    #[durable_write]
    async fn associated(key: IdempotencyKey) -> String {
        key.0.to_string()
    }
}

fn main() {
    let _: Router = Router::new()
        .route("/place", post(place))
        .route("/rename", post(rename))
        .route("/show", post(show))
        .route("/both", post(both))
        .route("/generic", post(generic::<u8>))
        .route("/associated", post(Orders::associated));
}
