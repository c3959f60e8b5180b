//! `lifecycle.layer()` under a tonic server.

use std::time::{Duration, Instant};

use followthrough::{
    CallerDeadlines, LifecycleBuilder, RequestToken, ShutdownToken, cancellable, durable_write,
};
use followthrough_server_tests::{
    Running,
    app::watch,
    grpc::{self, Answers, Orders, OrdersClient},
    recipes::{
        drain::told_to_stop,
        tonic_server::{self, status, token},
    },
    scenarios::SHORT_GRACE,
};
use followthrough_tests::{Marks, h1, lifecycle, soon};
use futures_util::{StreamExt, stream};
use tokio::{net::TcpListener, time::timeout};
use tonic::{Code, Request, Response, Status};

const MS: Duration = Duration::from_millis(1);

#[derive(Clone)]
struct Shop(Marks);

#[cancellable(read, deadline = "20s", internal)]
async fn look_up(marks: Marks, token: RequestToken) -> Result<String, Status> {
    let _dropped = marks.on_drop("read: dropped");
    watch(&marks, "read", token);
    marks.set("read: begun");
    marks.until("go").await;
    marks.set("read: done");
    Ok("42".to_owned())
}

#[cancellable(read, deadline = "50ms", internal)]
async fn look_up_for_too_long() -> Result<String, Status> {
    std::future::pending().await
}

/// Returns the minutes that remain.
#[cancellable(read, deadline = "1h", internal)]
async fn how_long(token: RequestToken) -> Result<String, Status> {
    let left = token.remaining().ok_or_else(|| Status::internal("no deadline"))?;
    Ok((left.as_secs_f64() / 60.0).ceil().to_string())
}

#[durable_write(internal)]
async fn insert(marks: Marks, order: String) -> Result<String, Status> {
    marks.set("write: begun");
    marks.until("go").await;
    marks.set("write: done");
    Ok(format!("placed {order}"))
}

#[cancellable(stream, internal)]
async fn follow(marks: Marks) -> Result<Answers, Status> {
    let held = marks.on_drop("deaf stream: dropped");
    let answers = stream::iter([Ok("first".to_owned())]).chain(stream::pending());
    Ok(answers.inspect(move |_: &Result<_, _>| _ = &held).boxed())
}

#[cancellable(stream, internal)]
async fn follow_and_say_goodbye(marks: Marks, token: RequestToken) -> Result<Answers, Status> {
    watch(&marks, "stream", token.clone());
    let held = marks.on_drop("stream: dropped");
    let goodbye = stream::once(async move {
        let cause = token.cancelled().await;
        drop(held);
        Err(Status::unavailable(cause.to_string()))
    });
    Ok(stream::iter([Ok("first".to_owned())]).chain(goodbye).boxed())
}

impl Orders for Shop {
    async fn stock(&self, sku: Request<String>) -> Result<Response<String>, Status> {
        let answer = match sku.get_ref().as_str() {
            "who asks" => Ok(sku.remote_addr().expect("it is known").ip().to_string()),
            "how long" => how_long(token().await).await.into_result().map_err(status)?,
            "too long" => look_up_for_too_long().await.into_result().map_err(status)?,
            _ => look_up(self.0.clone(), token().await).await.into_result().map_err(status)?,
        };
        answer.map(Response::new)
    }

    async fn place(&self, order: Request<String>) -> Result<Response<String>, Status> {
        let placed = insert(self.0.clone(), order.into_inner()).await;
        placed.into_result().map_err(status)?.map(Response::new)
    }

    async fn watch(&self, order: Request<String>) -> Result<Response<Answers>, Status> {
        let answers = match order.get_ref().as_str() {
            "deaf" => follow(self.0.clone()).await.into_result(),
            _ => follow_and_say_goodbye(self.0.clone(), token().await).await.into_result(),
        };
        answers.map_err(status)?.map(Response::new)
    }
}

async fn start_with(builder: LifecycleBuilder, marks: &Marks) -> Running {
    Running::with(builder, |listener, lifecycle, signal| {
        tonic_server::serve(listener, Shop(marks.clone()), lifecycle, signal.comes())
    })
    .await
}

async fn start(marks: &Marks) -> Running {
    start_with(lifecycle(), marks).await
}

async fn until_detached(server: &Running) {
    soon("the write without its client", async {
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn message(text: &str) -> Request<String> {
    Request::new(text.to_owned())
}

const STOCK: &str = "/orders.Orders/Stock";
const PLACE: &str = "/orders.Orders/Place";
const WATCH: &str = "/orders.Orders/Watch";

#[tokio::test]
async fn a_read_ends_with_its_call() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let client = OrdersClient::connect(server.at).await;
    let call = tokio::spawn(client.clone().call(STOCK, message("sku")));
    marks.until("read: begun").await;
    call.abort();
    marks.until("read: client_disconnected").await;
    marks.until("read: dropped").await;
    // The call ended and its connection stayed open.
    assert_eq!(client.call(STOCK, message("who asks")).await.unwrap(), "127.0.0.1");
    let report = server.stop().await;
    assert!(!marks.has("read: done"));
    assert_eq!(report.cancelled.client_disconnected, 1, "{report}");
}

#[tokio::test]
async fn a_begun_write_follows_through() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let client = OrdersClient::connect(server.at).await;
    let call = tokio::spawn(client.clone().call(PLACE, message("an order")));
    marks.until("write: begun").await;
    call.abort();
    until_detached(&server).await;
    marks.set("go");
    let report = server.stop().await;
    assert!(marks.has("write: done"));
    assert_eq!((report.durable.followed_through, report.exit_code()), (1, 0), "{report}");
    drop(client);
}

#[tokio::test]
async fn the_end_of_the_connection_ends_its_reads_and_not_its_writes() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let mut client = grpc::RawClient::connect(server.at).await;
    let _read = client.send(STOCK).await;
    let _write = client.send(PLACE).await;
    marks.until("read: begun").await;
    marks.until("write: begun").await;
    client.hang_up();
    marks.until("read: client_disconnected").await;
    marks.until("read: dropped").await;
    until_detached(&server).await;
    marks.set("go");
    let report = server.stop().await;
    assert_eq!(report.durable.followed_through, 1, "{report}");
}

#[tokio::test]
async fn a_stream_ends_with_its_call() {
    for kind in ["deaf", "heeds"] {
        let marks = Marks::default();
        let server = start(&marks).await;
        let client = OrdersClient::connect(server.at).await;
        let mut answers = client.clone().stream(WATCH, message(kind)).await.unwrap();
        assert_eq!(answers.message().await.unwrap().as_deref(), Some("first"));
        drop(answers);
        if kind == "deaf" {
            marks.until("deaf stream: dropped").await;
        } else {
            marks.until("stream: client_disconnected").await;
            marks.until("stream: dropped").await;
        }
        let report = server.stop().await;
        assert_eq!(report.cancelled.client_disconnected, 1, "{report}");
    }
}

async fn relay(stop: ShutdownToken, marks: Marks) {
    stop.cancelled().await;
    marks.set("relay: told");
}

#[tokio::test]
async fn a_signal_ends_reads_and_lets_writes_land() {
    let marks = Marks::default();
    let mut server = start(&marks).await;
    let worker = marks.clone();
    server.lifecycle.spawn("relay", |stop| relay(stop, worker));
    let client = OrdersClient::connect(server.at).await;
    let read = tokio::spawn(client.clone().call(STOCK, message("sku")));
    let write = tokio::spawn(client.clone().call(PLACE, message("an order")));
    let mut deaf = client.clone().stream(WATCH, message("deaf")).await.unwrap();
    let mut heeds = client.clone().stream(WATCH, message("heeds")).await.unwrap();
    for answers in [&mut deaf, &mut heeds] {
        assert_eq!(answers.message().await.unwrap().as_deref(), Some("first"));
    }
    marks.until("read: begun").await;
    marks.until("write: begun").await;
    server.signal();
    let read = soon("an answer", read).await.unwrap().unwrap_err();
    assert_eq!(read.code(), Code::Unavailable, "{read:?}");
    // The attentive stream ends with its own status. The deaf stream is cut, and the server resets
    // it.
    let heeds = soon("the end", heeds.message()).await.unwrap_err();
    assert_eq!((heeds.code(), heeds.message()), (Code::Unavailable, "shutting_down"));
    let deaf = soon("the end", deaf.message()).await.unwrap_err();
    assert_eq!(deaf.code(), Code::Internal, "{deaf:?}");
    server.refuses().await;
    assert!(!marks.has("relay: told"), "it outlives the write that may feed it");
    marks.set("go");
    assert_eq!(soon("an answer", write).await.unwrap().unwrap(), "placed an order");
    let report = server.ended().await;
    assert!(marks.has("relay: told"));
    assert_eq!((report.durable.completed, report.cancelled.shutting_down), (1, 3), "{report}");
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[tokio::test]
async fn a_deadline_of_the_handler_is_a_grpc_status() {
    let server = start(&Marks::default()).await;
    let client = OrdersClient::connect(server.at).await;
    let late = client.call(STOCK, message("too long")).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    assert_eq!(server.stop().await.cancelled.deadline_exceeded, 1);
}

#[tokio::test]
async fn the_deadline_of_the_caller_is_the_remaining_time() {
    let callers = CallerDeadlines::new().grpc_timeout();
    let server = start_with(lifecycle().caller_deadlines(callers), &Marks::default()).await;
    let client = OrdersClient::connect(server.at).await;
    assert_eq!(client.clone().call(STOCK, message("how long")).await.unwrap(), "60");
    let mut hurried = message("how long");
    hurried.set_timeout(Duration::from_mins(5));
    assert_eq!(client.call(STOCK, hurried).await.unwrap(), "5");
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_of_the_caller_looks_like_a_client_that_left() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let mut client = grpc::RawClient::connect(server.at).await;
    // tonic enforces the deadline by dropping the inner service, the layer included.
    let read = client.send_within(STOCK, 1000 * MS).await;
    let write = client.send_within(PLACE, 1000 * MS).await;
    marks.until("read: client_disconnected").await;
    until_detached(&server).await;
    for call in [read, write] {
        assert_eq!(call.grpc_status().await, "1", "CANCELLED, for a write that goes on, too");
    }
    marks.set("go");
    let report = server.stop().await;
    assert!(!marks.has("read: done") && marks.has("write: done"));
    assert_eq!(report.durable.followed_through, 1, "{report}");
}

#[tokio::test]
async fn a_worker_that_fails_stops_the_server() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let client = OrdersClient::connect(server.at).await;
    let write = tokio::spawn(client.call(PLACE, message("an order")));
    marks.until("write: begun").await;
    server.lifecycle.spawn("fragile", |_stop| async { panic!("it broke") });
    server.refuses().await;
    marks.set("go");
    assert_eq!(soon("an answer", write).await.unwrap().unwrap(), "placed an order");
    let report = server.ended().await;
    assert_eq!((report.failed_workers.len(), report.durable.completed), (1, 1), "{report}");
}

/// The HTTP/2 preface of a peer that answers no PING.
const IDLER: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn idle(server: std::net::SocketAddr) -> h1::Call {
    let idler = h1::raw(server, IDLER).await;
    // The server accepts connections in order.
    let client = OrdersClient::connect(server).await;
    client.call(STOCK, message("who asks")).await.unwrap();
    idler
}

#[tokio::test]
async fn a_peer_delays_graceful_shutdown_and_not_the_drain() {
    let lifecycle = lifecycle().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let stop = told_to_stop(lifecycle.clone(), std::future::pending());
    let server = tonic::transport::Server::builder()
        .layer(lifecycle.layer())
        .add_service(grpc::OrdersServer::new(Shop(Marks::default())))
        .serve_with_incoming_shutdown(tonic::transport::server::TcpIncoming::from(listener), stop);
    let mut server = tokio::spawn(server);
    let idler = idle(at).await;
    lifecycle.shutdown();
    let report = soon("the drain", lifecycle.drained()).await;
    assert!(report.elapsed < 3000 * MS, "{report}");
    assert!(timeout(500 * MS, &mut server).await.is_err(), "nothing holds it");
    idler.hang_up();
    soon("the server", server).await.unwrap().unwrap();
}

#[tokio::test]
async fn no_peer_delays_the_end_of_the_tonic_recipe() {
    let marks = Marks::default();
    let server = start_with(lifecycle().grace(SHORT_GRACE), &marks).await;
    let _idler = idle(server.at).await;
    let client = OrdersClient::connect(server.at).await;
    let write = tokio::spawn(client.call(PLACE, message("an order")));
    marks.until("write: begun").await;
    let begun = Instant::now();
    let report = server.stop().await;
    assert!(begun.elapsed() < SHORT_GRACE + 1000 * MS, "{:?}", begun.elapsed());
    assert_eq!((report.abandoned.len(), report.exit_code()), (1, 1), "{report}");
    write.abort();
}
