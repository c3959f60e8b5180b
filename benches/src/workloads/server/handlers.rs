//! The routes of each side.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State, WebSocketUpgrade},
    response::Response,
    routing::{get, post},
};
use followthrough::{cancellable, durable_write};
use http::StatusCode;

use super::{
    super::sides::Side,
    bodies::{self, Shared},
};

type Shares = State<Arc<Shared>>;

async fn small() -> &'static str {
    bodies::small().await
}

#[cancellable(read)]
async fn read_small() -> &'static str {
    bodies::small().await
}

#[cancellable(stream)]
async fn stream_small() -> &'static str {
    bodies::small().await
}

#[durable_write]
async fn durable_small() -> &'static str {
    bodies::small().await
}

async fn bulk(State(shared): Shares, Path(mebibytes): Path<u64>) -> Response {
    bodies::bulk(&shared, mebibytes)
}

#[cancellable(read)]
async fn read_bulk(State(shared): Shares, Path(mebibytes): Path<u64>) -> Response {
    bodies::bulk(&shared, mebibytes)
}

#[cancellable(stream)]
async fn stream_bulk(State(shared): Shares, Path(mebibytes): Path<u64>) -> Response {
    bodies::bulk(&shared, mebibytes)
}

async fn upload(body: Body) -> Result<String, StatusCode> {
    bodies::upload(body).await
}

#[cancellable(read)]
async fn read_upload(body: Body) -> Result<String, StatusCode> {
    bodies::upload(body).await
}

#[cancellable(stream)]
async fn stream_upload(body: Body) -> Result<String, StatusCode> {
    bodies::upload(body).await
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    bodies::echo(upgrade)
}

#[cancellable(stream)]
async fn stream_echo(upgrade: WebSocketUpgrade) -> Response {
    bodies::echo(upgrade)
}

async fn events(State(shared): Shares) -> Response {
    bodies::events(&shared)
}

#[cancellable(stream)]
async fn stream_events(State(shared): Shares) -> Response {
    bodies::events(&shared)
}

async fn slow() -> &'static str {
    bodies::slow().await
}

#[cancellable(read)]
async fn read_slow() -> &'static str {
    bodies::slow().await
}

async fn wait(State(shared): Shares) -> &'static str {
    bodies::wait(shared).await
}

#[cancellable(read)]
async fn read_wait(State(shared): Shares) -> &'static str {
    bodies::wait(shared).await
}

/// Is pending until its child of the service's token fires: a cancellable read by hand.
async fn pending(State(shared): Shares) -> Result<&'static str, StatusCode> {
    let token = shared.stopping.child_token();
    tokio::select! {
        biased;
        () = token.cancelled() => Err(StatusCode::SERVICE_UNAVAILABLE),
        answer = bodies::wait(shared) => Ok(answer),
    }
}

/// Returns the routes of `side`. A side without a handler of its own for a route lacks the route.
pub(super) fn routes(side: Side, shared: &Arc<Shared>) -> Router {
    let routes = match side {
        Side::Read => Router::new()
            .route("/x", get(read_small))
            .route("/bulk/{mebibytes}", get(read_bulk))
            .route("/upload", post(read_upload))
            .route("/slow", get(read_slow))
            .route("/wait", get(read_wait))
            .route("/pending", get(read_wait)),
        Side::Stream => Router::new()
            .route("/x", get(stream_small))
            .route("/bulk/{mebibytes}", get(stream_bulk))
            .route("/upload", post(stream_upload))
            .route("/echo", get(stream_echo))
            .route("/events", get(stream_events)),
        Side::Durable => Router::new().route("/x", get(durable_small)),
        _ => Router::new()
            .route("/x", get(small))
            .route("/bulk/{mebibytes}", get(bulk))
            .route("/upload", post(upload))
            .route("/echo", get(echo))
            .route("/events", get(events))
            .route("/slow", get(slow))
            .route("/wait", get(wait))
            .route("/pending", get(pending)),
    };
    routes.merge(asides()).with_state(shared.clone())
}

/// Returns the routes beside the measured ones: the load generator steers the server with them.
fn asides() -> Router<Arc<Shared>> {
    Router::new()
        .route("/publish", post(publish))
        .route("/began/{count}", get(began))
        .route("/dropped/{count}", get(dropped))
        .route("/stop", post(stop))
}

/// Sends an event to all clients.
async fn publish(State(shared): Shares) -> String {
    shared.events.send_modify(|number| *number += 1);
    shared.events.borrow().to_string()
}

/// Answers when that many handlers have begun to wait.
async fn began(State(shared): Shares, Path(count): Path<u64>) -> String {
    let mut began = shared.began.subscribe();
    // The sender lives in the state.
    began.wait_for(|began| *began >= count).await.map_or(0, |began| *began).to_string()
}

/// Answers the time of the last drop when that many waiting handlers were dropped.
async fn dropped(State(shared): Shares, Path(count): Path<u64>) -> String {
    let mut dropped = shared.dropped.subscribe();
    dropped.wait_for(|(dropped, _)| *dropped >= count).await.map_or(0, |last| last.1).to_string()
}

async fn stop(State(shared): Shares) -> &'static str {
    shared.stop.notify_one();
    crate::wire::TEXT
}
