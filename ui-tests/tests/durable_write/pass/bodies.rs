#![forbid(unsafe_code)]

use axum::body::{Body, Bytes};
use axum::extract::{Multipart, Request};
use axum::response::{sse::Event, Sse};
use axum::Json;
use followthrough::{cancellable, durable_write, exempt};

type Events = futures_util::stream::Pending<Result<Event, std::convert::Infallible>>;

/// The user's own type, inside an extractor that reads the whole body.
mod own {
    #[derive(serde::Deserialize)]
    pub struct Request {
        pub id: u32,
    }
}

#[durable_write(streaming_body = "a log: half of it is still worth something")]
async fn log(body: Body) {
    drop(body);
}

#[durable_write]
async fn whole(bytes: Bytes) -> String {
    bytes.len().to_string()
}

#[durable_write]
async fn json(Json(request): Json<own::Request>) -> String {
    request.id.to_string()
}

#[cancellable(read)]
async fn upload(mut form: Multipart) {
    while let Ok(Some(_)) = form.next_field().await {}
}

#[cancellable(read)]
async fn proxy(request: Request) -> Body {
    request.into_body()
}

#[cancellable(stream)]
async fn events() -> Sse<Events> {
    Sse::new(futures_util::stream::pending())
}

#[exempt(reason = "it is cut with its connection")]
async fn exempt_events() -> Sse<Events> {
    Sse::new(futures_util::stream::pending())
}

fn main() {
    let _: axum::Router = axum::Router::new()
        .route("/a", axum::routing::post(log))
        .route("/b", axum::routing::post(whole))
        .route("/c", axum::routing::post(json))
        .route("/d", axum::routing::post(upload))
        .route("/e", axum::routing::post(proxy))
        .route("/f", axum::routing::get(events))
        .route("/g", axum::routing::get(exempt_events));
}
