//! The shop under aide.

use aide::{
    axum::{
        ApiRouter,
        routing::{get_with, post_with},
    },
    openapi::{Info, OpenApi},
    transform::TransformOperation,
};
use axum::{
    Json,
    extract::{Path, State},
};
use followthrough::{
    DurableToken, IdempotencyKey, RequestToken, ShutdownToken, cancellable, durable_write, exempt,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::store::{Pet, Store};

/// The part of the path that names a pet.
#[derive(Deserialize, JsonSchema)]
pub struct Which {
    id: u64,
}

#[cancellable(read, deadline = "2s", name = "pets::show_pet")]
async fn show(
    State(store): State<Store>,
    Path(Which { id }): Path<Which>,
    cancel: CancellationToken,
) -> Json<Option<Pet>> {
    Json(store.get(id).filter(|_| !cancel.is_cancelled()))
}

#[durable_write(deadline = "10s", name = "pets::take_in_pet")]
async fn take_in(
    State(store): State<Store>,
    _durable: DurableToken,
    _stop: ShutdownToken,
    Json(pet): Json<Pet>,
) -> Json<Pet> {
    store.put(pet.clone());
    Json(pet)
}

#[durable_write(idempotency_key = "required", keep = "168h", name = "pets::sell_pet")]
async fn sell(key: IdempotencyKey, Json(pet): Json<Pet>) -> Json<String> {
    Json(format!("{} is paid for as {}", pet.name, key.derive("payment")))
}

#[durable_write(idempotency_key = "optional", name = "pets::feed_pets")]
async fn feed(key: Option<IdempotencyKey>) -> Json<bool> {
    Json(key.is_some())
}

#[cancellable(read, name = "pets::count_pets")]
async fn count(_cancel: RequestToken) -> Json<u64> {
    Json(0)
}

#[exempt(reason = "answers at once", name = "aide_health")]
async fn health() -> &'static str {
    "open"
}

/// Sets the `operationId`, by which the policy is found.
fn named(id: &'static str) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |operation| operation.id(id)
}

/// Returns the router of aide and its document.
pub fn api_router(store: Store) -> (axum::Router, OpenApi) {
    let mut document = OpenApi {
        info: Info { title: "Pets".to_owned(), version: "1".to_owned(), ..Info::default() },
        ..OpenApi::default()
    };
    let pets = ApiRouter::new()
        .api_route("/", post_with(take_in, named("take_in_pet")))
        .api_route("/sales", post_with(sell, named("sell_pet")))
        .api_route("/meals", post_with(feed, named("feed_pets")))
        .api_route("/count", get_with(count, named("count_pets")))
        .api_route("/{id}", get_with(show, named("show_pet")));
    let router = ApiRouter::new()
        .nest("/pets", pets)
        .api_route("/health", get_with(health, named("aide_health")))
        .finish_api(&mut document)
        .with_state(store);
    (router, document)
}
