//! tower-sessions: the layer saves a session after the handler, so a client that leaves takes the
//! changes of its session along.

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use followthrough::{cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::app::{marked, policies_hold};

#[durable_write]
async fn log_in(session: Session) {
    session.insert("orders", 0).await.expect("the value serializes");
}

#[cancellable(read)]
async fn orders(session: Session) -> String {
    let orders: Option<u32> = session.get("orders").await.expect("the store answers");
    orders.map_or("no session".to_owned(), |orders| format!("{orders} orders"))
}

#[durable_write]
async fn place(State(marks): State<Marks>, session: Session) {
    session.insert("orders", 1).await.expect("the value serializes");
    marks.set("placing");
    marks.until("go").await;
    marks.set("placed");
}

#[durable_write]
async fn place_and_save(State(marks): State<Marks>, session: Session) {
    session.insert("orders", 2).await.expect("the value serializes");
    marks.set("placing and saving");
    marks.until("go").await;
    session.save().await.expect("the store answers");
    marks.set("placed and saved");
}

fn sessions() -> SessionManagerLayer<MemoryStore> {
    SessionManagerLayer::new(MemoryStore::default())
}

#[tokio::test]
async fn sessions_change_no_policy() {
    policies_hold(|app| app.layer(sessions())).await;
}

#[tokio::test]
async fn a_write_whose_client_may_leave_saves_its_session_itself() {
    let marks = Marks::default();
    let app = Router::new()
        .route("/log-in", post(log_in))
        .route("/orders", get(orders))
        .route("/place", post(place))
        .route("/place-and-save", post(place_and_save))
        .with_state(marks.clone());
    let server = Server::with(marked(&marks), app.layer(sessions())).await;
    // Headers of the test's client are in lower case, and a session's id is not.
    let mut call = h1::send(server.at, "POST", "/log-in").await;
    let head = call.until("\r\n\r\n").await;
    let cookie = head.split("set-cookie: ").nth(1).and_then(|rest| rest.split(';').next());
    let cookie = cookie.expect("the session begins").to_owned();
    let request = |line: &str| {
        format!("{line} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\ncookie: {cookie}\r\n\r\n")
    };

    let call = h1::raw(server.at, request("POST /place")).await;
    marks.until("placing").await;
    call.hang_up();
    marks.until("place ClientDisconnected").await;

    let call = h1::raw(server.at, request("POST /place-and-save")).await;
    marks.until("placing and saving").await;
    let seen = h1::raw(server.at, request("GET /orders")).await.answer().await;
    assert_eq!(seen.body, "0 orders");
    call.hang_up();
    marks.until("place_and_save ClientDisconnected").await;
    marks.set("go");
    marks.until("placed").await;
    marks.until("placed and saved").await;
    let seen = h1::raw(server.at, request("GET /orders")).await.answer().await;
    assert_eq!(seen.body, "2 orders");
}
