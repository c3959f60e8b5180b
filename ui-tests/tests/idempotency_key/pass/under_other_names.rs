//! The attributes and the key, imported under names of the user's choice.

#![forbid(unsafe_code)]
#![deny(warnings)]

use axum::http::StatusCode;
use followthrough::{
    cancellable as may_end, durable_write as must_land, routing::post, IdempotencyKey as Key, Router,
};

#[must_land(idempotency_key = "required", keep = "48h")]
async fn place(key: Key) -> String {
    key.derive("payment").to_string()
}

#[must_land(idempotency_key = "optional")]
async fn cancel(key: Option<Key>) -> StatusCode {
    if key.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED }
}

#[may_end(read, idempotency_key = "required", after_crash = "again")]
async fn confirm(key: Key) -> StatusCode {
    #[durable_write]
    write(&key).await;
    StatusCode::OK
}

async fn write(_: &Key) {}

fn main() {
    let _: Router = Router::new()
        .route("/orders", post(place))
        .route("/orders/cancel", post(cancel))
        .route("/orders/confirm", post(confirm));
}
