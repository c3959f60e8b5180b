use axum::extract::WebSocketUpgrade;
use axum::response::{sse::Event, Response, Sse};
use followthrough::{cancellable, durable_write, routing::post, Router};

type Events = futures_util::stream::Pending<Result<Event, std::convert::Infallible>>;

#[cancellable(stream, idempotency_key = "required")]
async fn progress() -> Sse<Events> {
    #[durable_write]
    pause().await;
    Sse::new(futures_util::stream::pending())
}

#[cancellable(read, idempotency_key = "required")]
async fn events() -> Result<Sse<Events>, String> {
    #[durable_write]
    pause().await;
    Err(String::new())
}

#[durable_write(idempotency_key = "required")]
async fn upgrade(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|_| async {})
}

async fn pause() {}

fn main() {
    let _: Router = Router::new()
        .route("/progress", post(progress))
        .route("/events", post(events))
        .route("/upgrade", post(upgrade));
}
