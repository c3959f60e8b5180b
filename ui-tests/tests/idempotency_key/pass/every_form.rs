#![forbid(unsafe_code)]
#![deny(warnings)]

use axum::{
    extract::{rejection::JsonRejection, Request, State},
    http::StatusCode,
    Json,
};
use followthrough::{
    cancellable, durable_write, routing::post, IdempotencyKey, RequestToken, Router,
};
use serde::{de::DeserializeOwned, Serialize};

mod renamed {
    pub use followthrough::*;
}

async fn write(of: &str) -> String {
    of.to_owned()
}

#[durable_write(idempotency_key = "required")]
async fn without_the_parameter(Json(name): Json<String>) -> String {
    write(&name).await
}

#[durable_write(idempotency_key = "required", keep = "168h", after_crash = "again", deadline = "10s")]
async fn every_option(State(()): State<()>, key: IdempotencyKey, body: String) -> String {
    write(&key.derive(&body).to_string()).await
}

#[durable_write(idempotency_key = "optional", keep = 24h, after_crash = "unknown")]
async fn optional(key: Option<IdempotencyKey>) -> StatusCode {
    if key.is_some() { StatusCode::CREATED } else { StatusCode::OK }
}

#[durable_write(idempotency_key = "required")]
async fn an_option_where_it_is_required(
    key: std::option::Option<followthrough::idempotency::IdempotencyKey>,
) -> String {
    format!("{}", key.is_some())
}

#[durable_write(idempotency_key = "optional")]
async fn optional_without_the_parameter() {}

#[durable_write(idempotency_key = "required")]
async fn a_rejection(name: Result<Json<String>, JsonRejection>) -> Result<String, StatusCode> {
    let Json(name) = name.map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(write(&name).await)
}

#[cancellable(read, idempotency_key = "required", deadline = "5s", keep = "5s")]
async fn site(cancel: RequestToken, key: IdempotencyKey) -> Result<String, StatusCode> {
    if cancel.is_cancelled() {
        return Err(StatusCode::GONE);
    }
    #[durable_write]
    let written = write(&key.derive("callee").to_string()).await;
    Ok(written)
}

#[cancellable(idempotent_write, cooperative, idempotency_key = "optional")]
async fn cooperative(cancel: RequestToken, key: Option<IdempotencyKey>) -> StatusCode {
    let _ = (cancel, key);
    #[durable_write]
    write("site").await;
    StatusCode::CREATED
}

/// The body of this request is not streamed, and the one that is never read has no name.
#[cancellable(read, idempotency_key = "required")]
async fn unread(_: Request) {
    #[durable_write]
    write("site").await;
}

#[durable_write(idempotency_key = "required", keep = "1h")]
#[deadline = "1h"]
async fn generic<T>(key: IdempotencyKey, Json(item): Json<T>) -> Result<Json<T>, StatusCode>
where
    T: DeserializeOwned + Serialize + Send + 'static,
{
    let _ = key;
    Ok(Json(item))
}

struct Orders;

impl Orders {
    #[durable_write(idempotency_key = "required")]
    async fn associated(key: IdempotencyKey) -> StatusCode {
        drop(key);
        StatusCode::CREATED
    }
}

#[renamed::durable_write(crate = crate::renamed, idempotency_key = "required", keep = "48h")]
async fn in_a_renamed_crate(key: renamed::IdempotencyKey) -> StatusCode {
    drop(key);
    StatusCode::CREATED
}

/// A called function takes the key of its caller.
#[durable_write(internal)]
async fn called(key: IdempotencyKey) -> String {
    write(&key.derive("called").to_string()).await
}

macro_rules! keyed {
    ($requirement:literal, $keep:literal, $name:ident) => {
        #[durable_write(idempotency_key = $requirement, keep = $keep)]
        async fn $name() {}
    };
}

keyed!("optional", "72h", by_a_macro);

/// A parameter that the compiler removes is no parameter of the key.
#[durable_write]
async fn conditional(#[cfg(any())] key: IdempotencyKey) {}

fn main() {
    let _ = called;
    let _: Router = Router::new()
        .route("/1", post(without_the_parameter))
        .route("/2", post(every_option))
        .route("/3", post(optional))
        .route("/4", post(an_option_where_it_is_required))
        .route("/5", post(optional_without_the_parameter))
        .route("/6", post(a_rejection))
        .route("/7", post(site))
        .route("/8", post(cooperative))
        .route("/9", post(unread))
        .route("/10", post(generic::<u64>))
        .route("/11", post(Orders::associated))
        .route("/12", post(in_a_renamed_crate))
        .route("/13", post(by_a_macro))
        .route("/14", post(conditional));
}
