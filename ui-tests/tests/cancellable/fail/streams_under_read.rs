use axum::extract::WebSocketUpgrade;
use axum::response::{sse::Event, Response, Sse};
use followthrough::{cancellable, LastEvent};

type Events = futures_util::stream::Pending<Result<Event, std::convert::Infallible>>;

#[cancellable(read)]
async fn events() -> (LastEvent, Sse<Events>) {
    unimplemented!()
}

#[cancellable(idempotent_write)]
async fn upgrade(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|_| async {})
}

fn main() {}
