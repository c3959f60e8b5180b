//! Handlers that call NATS themselves, where no outbox is wanted.
//!
//! `price` is a read: when the client leaves or the deadline passes, the handler stops waiting for the reply. `place` is a
//! durable write: the handler waits for the broker's confirmation even if the client leaves. Neither writes to a database.
//! A handler that does needs the outbox, because no transaction spans the database and the broker.

use async_nats::{
    Client, Request, RequestError, Subject,
    connection::State as Connection,
    jetstream::{self, message::PublishMessage},
};
use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use followthrough::{
    RequestToken, Router, cancellable, durable_write,
    outbound::CallError,
    routing::{get, put},
};

/// Asks the service that listens to `prices`.
#[cancellable(read)]
#[deadline = "2s"]
async fn price(
    State(nats): State<Client>,
    cancel: RequestToken,
    article: Path<String>,
) -> Result<Bytes, Response> {
    let question = Request::new().payload(article.0.into());
    // The token has the deadline, so the client needs no time-out of its own.
    let reply = nats.send_request("prices", question.timeout(None));
    match cancel.run_until_cancelled(reply).await {
        Some(Ok(reply)) => Ok(reply.payload),
        Some(Err(error)) => Err(CallError::<RequestError>::Failed(error).into_response()), // 502
        None => Err(StatusCode::GATEWAY_TIMEOUT.into_response()),
    }
}

/// Stores an order in the stream for `orders.>`. The client may repeat the request: the stream drops a second message
/// with one id.
#[durable_write]
async fn place(
    State(nats): State<Client>,
    Path(id): Path<u64>,
    order: Bytes,
) -> Result<StatusCode, Response> {
    // Without a connection, the NATS client would buffer the order and send it later, after the caller got an error.
    if nats.connection_state() != Connection::Connected {
        return Err((StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")]).into_response());
    }
    let subject = Subject::from(format!("orders.{id}"));
    let message = PublishMessage::build().message_id(id.to_string()).payload(order);
    let unconfirmed = |error| CallError::Failed(error).into_response(); // 502: it may be stored
    let sent = jetstream::new(nats).send_publish(subject, message).await.map_err(unconfirmed)?;
    sent.await.map_err(unconfirmed)?;
    Ok(StatusCode::CREATED)
}

/// Returns the routes.
pub fn app(nats: Client) -> Router {
    Router::new()
        .route("/prices/{article}", get(price))
        .route("/orders/{id}", put(place))
        .with_state(nats)
}
