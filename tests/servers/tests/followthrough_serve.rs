//! The scenarios under `followthrough::serve`, for the first column of the guide's table.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::Router;
use followthrough::{Lifecycle, LifecycleBuilder, ShutdownReport};
use followthrough_server_tests::{
    Running, Signal, WebSocket,
    app::app,
    hold,
    scenarios::{self, BYTES_BEHIND, DRAIN_DELAY, GET_BIG, IDLERS, POST_WRITE, SHORT_GRACE},
};
use followthrough_tests::{Marks, h1, lifecycle};
use tokio::net::TcpListener;

async fn serve(
    listener: TcpListener,
    app: Router,
    lifecycle: Lifecycle,
    signal: Signal,
) -> std::io::Result<ShutdownReport> {
    let stopping = lifecycle.clone();
    tokio::spawn(async move {
        signal.comes().await;
        stopping.shutdown();
    });
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    followthrough::serve(listener, app).lifecycle(lifecycle).await
}

async fn start_with(builder: LifecycleBuilder, marks: &Marks) -> Running {
    Running::with(builder, |listener, lifecycle, signal| {
        serve(listener, app(marks, &lifecycle), lifecycle, signal)
    })
    .await
}

async fn start(marks: &Marks) -> Running {
    start_with(lifecycle(), marks).await
}

async fn start_with_a_short_grace(marks: &Marks) -> Running {
    start_with(lifecycle().grace(SHORT_GRACE), marks).await
}

hold! { start:
    a_read_ends_with_its_client,
    a_begun_write_follows_through,
    a_client_that_leaves_during_its_upload_is_counted,
    a_stream_ends_with_its_client,
    a_signal_ends_reads_and_lets_writes_land,
    a_worker_that_fails_stops_the_server(POST_WRITE),
    a_response_may_be_sent_to_its_end(GET_BIG),
}

hold! { start_with_a_short_grace:
    a_write_that_never_ends_is_named(POST_WRITE),
}

#[tokio::test]
async fn a_drain_delay_is_kept() {
    let start = async |marks: &Marks| start_with(lifecycle().drain_delay(DRAIN_DELAY), marks).await;
    scenarios::a_drain_delay_is_kept(start).await;
}

#[tokio::test]
async fn a_client_that_leaves_bytes_behind_is_noticed() {
    for request in BYTES_BEHIND {
        let marks = Marks::default();
        let server = start(&marks).await;
        let call = h1::raw(server.at, request).await;
        marks.until("read: begun").await;
        call.hang_up();
        marks.until("read: client_disconnected").await;
        marks.until("read: dropped").await;
        server.stop().await;
    }
}

#[tokio::test]
async fn no_peer_delays_the_end_of_serve() {
    for bytes in IDLERS {
        let server = start_with_a_short_grace(&Marks::default()).await;
        let mut idler = scenarios::idle(server.at, bytes).await;
        let begun = Instant::now();
        let report = server.stop().await;
        assert!(begun.elapsed() < SHORT_GRACE + Duration::from_secs(1), "{report}");
        // Only an unread response counts as a cut connection.
        assert_eq!(report.connections_cut.len(), usize::from(bytes == GET_BIG), "{report}");
        idler.ends().await;
    }
}

#[tokio::test]
async fn an_open_websocket_is_told_to_close_and_awaited_and_cut() {
    let marks = Marks::default();
    let server = start_with_a_short_grace(&marks).await;
    let mut told = WebSocket::connect(server.at, "/socket").await;
    told.until("hello").await;
    let mut told_too = WebSocket::connect(server.at, "/socket-raw").await;
    told_too.until("hello").await;
    let report = server.stop().await;
    told.until("goodbye").await;
    marks.until("socket: token").await;
    marks.until("socket: closed").await;
    assert_eq!(report.connections_cut.len(), 1, "{report}");
}

#[tokio::test]
async fn the_token_of_a_websocket_fires_when_its_client_leaves() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let mut socket = WebSocket::connect(server.at, "/socket-raw").await;
    socket.until("hello").await;
    drop(socket);
    marks.until("socket: token").await;
    server.stop().await;
}
