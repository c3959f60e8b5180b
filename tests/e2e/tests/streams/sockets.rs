//! Upgraded sockets: how they are told of the shutdown and of a disconnect.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    response::Response,
    routing::any,
};
use followthrough::{Cause, RequestToken, cancellable};
use followthrough_tests::{Log, Marks, Server, h2c, lifecycle, ws};
use tokio::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);

async fn talk(mut socket: WebSocket, marks: Marks, token: RequestToken) {
    marks.set("open");
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(message)) => { let _ = socket.send(message).await; }
                _ => break,
            },
            cause = token.cancelled() => {
                marks.set(cause.as_str());
                let frame = CloseFrame { code: close_code::AWAY, reason: "restarting".into() };
                let _ = socket.send(Message::Close(Some(frame))).await;
                // Reads until the peer has answered, or the socket is cut.
                while let Some(Ok(_)) = socket.recv().await {}
                break;
            }
        }
    }
    marks.set("closed");
}

#[cancellable(stream)]
async fn socket(
    State(marks): State<Marks>,
    token: RequestToken,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(|socket| talk(socket, marks, token))
}

/// Waits for its token and reads nothing.
#[cancellable(stream)]
async fn blind_socket(
    State(marks): State<Marks>,
    token: RequestToken,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(async move |socket| {
        marks.set("open");
        marks.set(token.cancelled().await.as_str());
        drop(socket);
    })
}

#[tokio::test]
async fn a_web_socket_is_told_to_close_through_its_token() {
    let marks = Marks::default();
    let app = Router::new().route("/", any(socket)).with_state(marks.clone());
    let server = Server::with(lifecycle().read_grace(2000 * MS), app).await;
    let mut client = ws::open(server.at, "/").await;
    client.send(ws::Opcode::Text, b"hello").await;
    assert_eq!(client.frame().await, Some((ws::Opcode::Text, b"hello".to_vec())));
    assert_eq!(server.lifecycle.in_flight().requests, 1, "its request goes on in the socket");
    server.lifecycle.shutdown();
    assert_eq!(client.close_code().await, Some(1001));
    marks.until("shutting_down").await;
    client.send(ws::Opcode::Close, &1001_u16.to_be_bytes()).await;
    marks.until("closed").await;
    client.ends().await;
    let report = server.ended().await;
    assert!(report.elapsed < 1500 * MS && report.connections_cut.is_empty(), "{report}");
    assert_eq!((report.cancelled.shutting_down, report.unanswered), (1, 0), "{report}");
}

#[tokio::test]
async fn the_token_of_a_web_socket_fires_when_its_client_leaves() {
    let marks = Marks::default();
    let app = Router::new().route("/", any(blind_socket)).with_state(marks.clone());
    let server = Server::start(app).await;
    let mut client = ws::open(server.at, "/").await;
    marks.until("open").await;
    // Unread data does not fire the token.
    client.send(ws::Opcode::Text, b"hello").await;
    sleep(50 * MS).await;
    assert!(!marks.has("client_disconnected"));
    let begun = Instant::now();
    drop(client);
    marks.until("client_disconnected").await;
    assert!(begun.elapsed() < 100 * MS, "{:?}", begun.elapsed());
    let report = server.stop().await;
    assert_eq!(report.cancelled.client_disconnected, 1, "{report}");
}

#[tokio::test]
async fn a_web_socket_that_its_handler_closes_is_not_a_cancellation() {
    #[cancellable(stream)]
    async fn brief(
        State((marks, kept)): State<(Marks, Arc<std::sync::Mutex<Option<RequestToken>>>)>,
        token: RequestToken,
        upgrade: WebSocketUpgrade,
    ) -> Response {
        *kept.lock().unwrap() = Some(token);
        upgrade.on_upgrade(async move |socket| {
            drop(socket);
            marks.set("closed");
        })
    }
    let (log, marks, kept) = (Log::capture(), Marks::default(), Arc::default());
    let state = (marks.clone(), Arc::clone(&kept));
    let app = Router::new().route("/", any(brief)).with_state(state);
    let server = Server::start(app).await;
    let mut client = ws::open(server.at, "/").await;
    client.ends().await;
    marks.until("closed").await;
    let report = server.stop().await;
    let fired = kept.lock().unwrap().as_ref().and_then(RequestToken::cause);
    assert_eq!((fired, report.cancelled.shutting_down), (None::<Cause>, 0), "{report}");
    assert!(log.with("stream ended early").is_empty());
}

#[tokio::test]
async fn the_token_of_a_web_socket_over_http_2_fires_at_shutdown_and_at_a_reset() {
    for reset in [false, true] {
        let marks = Marks::default();
        let app = Router::new().route("/", any(blind_socket)).with_state(marks.clone());
        let server = Server::with(lifecycle().read_grace(2000 * MS), app).await;
        let mut connection = h2c::connect(server.at).await;
        let call = connection.open_web_socket("/").await;
        marks.until("open").await;
        if reset {
            call.reset();
            marks.until("client_disconnected").await;
        } else {
            server.lifecycle.shutdown();
            marks.until("shutting_down").await;
        }
        let report = server.stop().await;
        assert_eq!(report.exit_code(), 0, "{report}");
    }
}
