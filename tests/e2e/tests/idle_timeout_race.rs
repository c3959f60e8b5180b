//! The sweep for idle connections beside a request that has just arrived. A slow log subscriber
//! lengthens the moment between the sweep's look and its verdict.
//!
//! The test has a binary of its own, because a process has one global log subscriber.

use std::{fmt::Write, sync::OnceLock, time::Duration};

use axum::{Router, extract::State, routing::get};
use followthrough::cancellable;
use followthrough_tests::{Marks, h1, lifecycle};
use tokio::{net::TcpListener, time::sleep};
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt};

const MS: Duration = Duration::from_millis(1);

static SEEN: OnceLock<Marks> = OnceLock::new();

struct Slow;

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{value:?}");
    }
}

impl<S: tracing::Subscriber> Layer<S> for Slow {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        if text.0.contains("no request came") {
            SEEN.get().unwrap().set("verdict");
            std::thread::sleep(300 * MS);
        }
    }
}

#[cancellable(read)]
async fn work(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    sleep(600 * MS).await;
    "done"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_has_begun_is_not_cut_because_its_connection_had_waited_for_long() {
    let seen = SEEN.get_or_init(Marks::default);
    tracing::subscriber::set_global_default(Registry::default().with(Slow)).unwrap();
    let marks = Marks::default();
    let app = Router::new()
        .route("/", get(async || "here"))
        .route("/work", get(work))
        .with_state(marks.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let lifecycle = lifecycle().build().unwrap();
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle).idle_timeout(200 * MS);
    drop(tokio::spawn(serve.into_future()));
    let mut call = h1::raw(at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    call.until("here").await;
    seen.until("verdict").await;
    // Another thread of the runtime takes over the I/O driver.
    tokio::spawn(async {}).await.unwrap();
    call.more("GET /work HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    marks.until("begun").await;
    let rest = call.rest().await;
    assert!(rest.ends_with("done"), "begun, and cut: {rest:?}");
}
