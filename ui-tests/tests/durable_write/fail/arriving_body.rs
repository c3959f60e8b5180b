use axum::body::Body;
use axum::extract::{Multipart, Request, State, WebSocketUpgrade};
use axum::response::{sse::Event, Response, Sse};
use followthrough::durable_write;

type Events = futures_util::stream::Pending<Result<Event, std::convert::Infallible>>;

#[durable_write]
async fn body(State(_): State<()>, body: Body) {}

#[durable_write]
async fn request(request: Request) {}

#[durable_write]
async fn multipart(form: axum::extract::Multipart) {}

#[durable_write]
async fn perhaps(form: Result<Multipart, axum::extract::multipart::MultipartRejection>) {}

#[durable_write]
async fn upgrade(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|_| async {})
}

#[durable_write]
async fn events() -> Result<Sse<Events>, String> {
    Err(String::new())
}

#[durable_write(streaming_body = " ")]
async fn no_reason(form: Multipart) {}

#[durable_write(streaming_bodies = "it is a log")]
async fn misspelt(form: Multipart) {}

fn main() {}
