//! How do I serve a chat over WebSockets?
//!
//! A WebSocket is `#[cancellable(stream)]`. The task of the socket owns the request's token, which fires when the service
//! stops or the peer is gone, so that the task can say goodbye with a close frame.

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use followthrough::routing::get;
use followthrough::{RequestToken, Router, cancellable};
use tokio::sync::broadcast;

type Room = broadcast::Sender<Utf8Bytes>;

#[cancellable(stream)]
async fn join(
    State(room): State<Room>,
    token: RequestToken,
    upgrade: WebSocketUpgrade,
) -> Response {
    // The guest hears what is said from here on, also while the connection is upgraded.
    let heard = room.subscribe();
    upgrade.on_upgrade(|socket| talk(socket, room, heard, token))
}

async fn talk(
    mut socket: WebSocket,
    room: Room,
    mut heard: broadcast::Receiver<Utf8Bytes>,
    token: RequestToken,
) {
    loop {
        let sent = tokio::select! {
            said = socket.recv() => match said {
                // `send` fails only without a receiver, and this task has one.
                Some(Ok(Message::Text(text))) => room.send(text).map(drop).map_err(axum::Error::new),
                Some(Ok(_)) => Ok(()),
                Some(Err(_)) | None => return,
            },
            text = heard.recv() => match text {
                Ok(text) => socket.send(Message::Text(text)).await,
                Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                Err(broadcast::error::RecvError::Closed) => return,
            },
            _ = token.cancelled() => {
                let bye = CloseFrame { code: close_code::AWAY, reason: "the service restarts".into() };
                socket.send(Message::Close(Some(bye))).await
            }
        };
        if sent.is_err() || token.is_cancelled() {
            return;
        }
    }
}

/// Returns the routes.
pub fn app() -> Router {
    Router::new().route("/chat", get(join)).with_state(broadcast::channel(64).0)
}

#[cfg(test)]
mod tests {
    use followthrough_tests::{Server, ws};

    use super::*;

    #[tokio::test]
    async fn guests_hear_each_other_and_a_shutdown_says_goodbye() {
        let server = Server::start(app().into_axum()).await;
        let mut ann = ws::open(server.at, "/chat").await;
        let mut bob = ws::open(server.at, "/chat").await;
        ann.send(ws::Opcode::Text, b"hello").await;
        assert_eq!(bob.frame().await, Some((ws::Opcode::Text, b"hello".to_vec())));
        assert_eq!(ann.frame().await, Some((ws::Opcode::Text, b"hello".to_vec())));

        let ending = tokio::spawn(server.stop());
        assert_eq!(ann.close_code().await, Some(close_code::AWAY));
        assert_eq!(bob.close_code().await, Some(close_code::AWAY));
        drop((ann, bob));
        let report = ending.await.unwrap();
        assert_eq!(report.exit_code(), 0, "{report}");
    }
}
