//! The shop under utoipa: in a governed router, and in the router of utoipa-axum.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use followthrough::{
    IdempotencyKey, Router, ShutdownToken, cancellable, durable_write, exempt,
    routing::{delete, get, post},
};
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::store::{Pet, Store};

/// Shows a pet.
#[cancellable(read, deadline = "2s")]
#[utoipa::path(
    get,
    path = "/pets/{id}",
    params(("id" = u64, Path,)),
    responses((status = 200, body = Pet), (status = 404))
)]
async fn show(
    State(store): State<Store>,
    Path(id): Path<u64>,
    cancel: CancellationToken,
) -> Result<Json<Pet>, StatusCode> {
    if cancel.is_cancelled() {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    store.get(id).map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// Takes a pet in.
#[durable_write(deadline = "10s", max_in_flight = 8)]
#[utoipa::path(
    post,
    path = "/pets",
    request_body = Pet,
    responses((status = 201, body = Pet), (status = 503, description = "the shop is full"))
)]
async fn take_in(
    State(store): State<Store>,
    _stop: ShutdownToken,
    Json(pet): Json<Pet>,
) -> (StatusCode, Json<Pet>) {
    store.put(pet.clone());
    (StatusCode::CREATED, Json(pet))
}

/// Sells a pet.
#[durable_write(idempotency_key = "required", deadline = "10s")]
#[utoipa::path(
    post,
    path = "/pets/{id}/sale",
    params(("id" = u64, Path,)),
    responses((status = 200, body = String))
)]
async fn sell(Path(id): Path<u64>, key: IdempotencyKey) -> String {
    format!("pet {id} is paid for as {}", key.derive("payment"))
}

/// Feeds a pet. The document describes the key by itself.
#[durable_write(idempotency_key = "optional", keep = "1h")]
#[utoipa::path(
    post,
    path = "/pets/{id}/meals",
    params(
        ("id" = u64, Path,),
        ("idempotency-key" = Option<String>, Header, description = "the number of the meal")
    ),
    responses((status = 204), (status = 409, description = "the pet is eating"))
)]
async fn feed(Path(_id): Path<u64>, key: Option<IdempotencyKey>) -> StatusCode {
    drop(key);
    StatusCode::NO_CONTENT
}

/// Gives a pet away.
#[cancellable(read)]
#[utoipa::path(
    delete,
    path = "/pets/{id}",
    params(("id" = u64, Path,)),
    responses((status = 204), (status = 404))
)]
async fn give_away(State(store): State<Store>, Path(id): Path<u64>) -> StatusCode {
    #[durable_write]
    let pet = std::future::ready(store.remove(id)).await;
    if pet.is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

/// Sends a photo.
#[cancellable(read)]
#[utoipa::path(
    get,
    path = "/photos/{path}",
    params(("path" = String, Path,)),
    responses((status = 200, body = String))
)]
async fn photo(Path(path): Path<String>) -> String {
    path
}

/// Says that the shop is open.
#[exempt(reason = "answers at once")]
#[utoipa::path(get, path = "/health", responses((status = 200, body = String)))]
async fn health() -> &'static str {
    "open"
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Pets", version = "1"),
    paths(show, take_in, sell, feed, give_away, photo, health)
)]
struct Document;

/// Returns the governed router.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/pets/{pet}", get(show))
        .route("/pets/{pet}", delete(give_away))
        .route("/pets", post(take_in))
        .route("/pets/{pet}/sale", post(sell))
        .route("/pets/{pet}/meals", post(feed))
        .route("/photos/{*path}", get(photo))
        .route("/health", get(health))
        .with_state(store)
}

/// Returns the document without the policies.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Returns the router of utoipa-axum and its document.
pub fn open_api_router(store: Store) -> (axum::Router, utoipa::openapi::OpenApi) {
    let pets = OpenApiRouter::new()
        .routes(routes!(show, give_away))
        .routes(routes!(take_in))
        .routes(routes!(sell))
        .routes(routes!(feed))
        .with_state(store);
    OpenApiRouter::new().nest("/api", pets).routes(routes!(health)).split_for_parts()
}
