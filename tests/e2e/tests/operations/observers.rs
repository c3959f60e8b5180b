//! Observers are told of every end, once, and cannot harm a request.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, extract::State};
use bytes::Bytes;
use followthrough::{
    Lifecycle, Outcome, Router, cancellable, durable_write, exempt,
    observe::{Ended, Observer, Phase, RequestEnded, WorkEnded},
    routing::{get, post},
};
use followthrough_tests::{Leaving, Marks, Server, h1, lifecycle};
use futures_util::stream;

/// Keeps what it is told, as a line each.
#[derive(Clone, Default)]
struct Notes(Marks);

impl Observer for Notes {
    fn request_ended(&self, request: &RequestEnded) {
        let handler = request
            .handler
            .map_or("-", |handler| handler.name().rsplit("::").next().unwrap_or_default());
        let cause = request.cause.map_or("-", followthrough::Cause::as_str);
        let outcome = request.outcome.map_or("-", Outcome::as_str);
        let panicked = if request.panicked { " panicked" } else { "" };
        self.0.set(format!(
            "{} {handler} {} {cause} {outcome}{panicked}",
            request.method, request.status
        ));
    }

    fn work_ended(&self, work: &WorkEnded) {
        assert!(work.detached.is_none_or(|detached| detached <= work.elapsed));
        assert!(work.location().contains("observers.rs:"));
        let detached = if work.detached.is_some() { " detached" } else { "" };
        self.0.set(format!("work {:?}{detached}", work.ended));
        assert_ne!(work.ended, Ended::Abandoned);
    }

    fn phase_began(&self, phase: Phase) {
        self.0.set(format!("phase {}", phase.as_str()));
    }
}

#[cancellable(read)]
async fn read(State(marks): State<Marks>) -> &'static str {
    marks.set("read begun");
    marks.until("go").await;
    "done"
}

#[cancellable(read, deadline = "10ms")]
async fn slow() {
    std::future::pending::<()>().await;
}

#[cancellable(stream)]
async fn endless() -> Body {
    Body::from_stream(stream::repeat(Ok::<_, std::convert::Infallible>(Bytes::from_static(
        &[7; 1024],
    ))))
}

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("write begun");
    marks.until("go").await;
    "written"
}

#[exempt(reason = "panics at once")]
async fn broken() {
    panic!("it broke");
}

fn app(marks: &Marks) -> axum::Router {
    Router::new()
        .route("/read", get(read))
        .route("/slow", get(slow))
        .route("/endless", get(endless))
        .route("/write", post(write))
        .route("/broken", get(broken))
        .with_state(marks.clone())
        .into_axum()
}

#[tokio::test]
async fn an_observer_is_told_how_each_request_ended() {
    let (marks, notes) = (Marks::default(), Notes::default());
    let server = Server::with(lifecycle().observer(notes.clone()), app(&marks)).await;
    let at = server.at;

    let client = h1::send(at, "GET", "/read").await;
    marks.until("read begun").await;
    client.leave(Leaving::Reset).await;
    notes.0.until("GET read 499 client_disconnected not_begun").await;

    assert_eq!(h1::call(at, "GET", "/slow").await.status, 504);
    notes.0.until("GET slow 504 deadline_exceeded not_begun").await;

    let client = h1::send(at, "POST", "/write").await;
    marks.until("write begun").await;
    client.leave(Leaving::Reset).await;
    notes.0.until("POST write 499 client_disconnected unknown").await;
    assert!(!notes.0.all().iter().any(|note| note.starts_with("work")));
    marks.set("go");
    notes.0.until("work Completed detached").await;

    assert_eq!(h1::call(at, "POST", "/write").await.status, 200);
    notes.0.until("work Completed").await;
    notes.0.until("POST write 200 - -").await;

    let mut client = h1::send(at, "GET", "/endless").await;
    client.until("\r\n\r\n").await;
    client.leave(Leaving::Reset).await;
    notes.0.until("GET endless 200 client_disconnected unknown").await;

    assert_eq!(h1::call(at, "GET", "/nowhere").await.status, 404);
    notes.0.until("GET - 404 - -").await;

    h1::send(at, "GET", "/broken").await.ends().await;
    notes.0.until("GET broken 500 - - panicked").await;

    let counts = server.lifecycle.clone();
    drop(server.stop().await);
    // No assertion of the observer itself has failed.
    assert_eq!(counts.counts().observers.panicked, 0);
    // The end of the drain waits for the observers.
    assert!(notes.0.has("phase ended"));
    let ends = notes.0.all().iter().filter(|note| !note.starts_with("phase")).count();
    assert_eq!(ends, 9, "{:?}", notes.0.all());
    let at = |phase: &str| notes.0.when(&format!("phase {phase}"));
    assert!(at("not_ready") < at("closing") && at("closing") < at("stopping"));
}

/// Panics at the first request, and blocks at the second one until it may go on.
struct Bad {
    calls: Mutex<u32>,
    may_go_on: Arc<AtomicBool>,
    blocked: Marks,
}

impl Observer for Bad {
    fn request_ended(&self, _: &RequestEnded) {
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        assert_ne!(call, 1, "the first one");
        if call == 2 {
            self.blocked.set("blocked");
            while !self.may_go_on.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

#[tokio::test]
async fn an_observer_that_panics_or_blocks_harms_no_request() {
    let (marks, may_go_on) = (Marks::default(), Arc::new(AtomicBool::new(false)));
    let bad = Bad { calls: Mutex::new(0), may_go_on: may_go_on.clone(), blocked: marks.clone() };
    let notes = Notes::default();
    marks.set("go");
    let server = Server::with(lifecycle().observer(bad).observer(notes.clone()), app(&marks)).await;
    for _ in 0..50 {
        assert_eq!(h1::call(server.at, "GET", "/read").await.status, 200);
    }
    marks.until("blocked").await;
    assert_eq!(server.lifecycle.counts().observers.panicked, 1);
    may_go_on.store(true, Ordering::SeqCst);
    drop(server.stop().await);
    let told = notes.0.all().iter().filter(|note| note.starts_with("GET read 200")).count();
    assert_eq!(told, 50);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_blocked_observer() {
    let (marks, may_go_on) = (Marks::default(), Arc::new(AtomicBool::new(false)));
    let bad = Bad { calls: Mutex::new(1), may_go_on: may_go_on.clone(), blocked: marks.clone() };
    marks.set("go");
    let server = Server::with(lifecycle().observer(bad), app(&marks)).await;
    assert_eq!(h1::call(server.at, "GET", "/read").await.status, 200);
    marks.until("blocked").await;
    assert_eq!(server.stop().await.exit_code(), 0);
    may_go_on.store(true, Ordering::SeqCst);
}

/// The layer inside leaves the request to the server.
#[tokio::test]
async fn a_second_layer_does_not_tell_of_a_request_again() {
    let (marks, notes) = (Marks::default(), Notes::default());
    marks.set("go");
    let lifecycle: Lifecycle = lifecycle().observer(notes.clone()).build().unwrap();
    let app = app(&marks).layer(lifecycle.layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let served = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    let served = tokio::spawn(served.into_future());
    assert_eq!(h1::call(at, "GET", "/read").await.status, 200);
    lifecycle.shutdown();
    drop(served.await.unwrap().unwrap());
    let told = notes.0.all().into_iter().filter(|note| !note.starts_with("phase"));
    assert_eq!(told.collect::<Vec<_>>(), ["GET read 200 - -"]);
}

/// An extractor that panics.
struct Broken;

impl<S: Sync> axum::extract::FromRequestParts<S> for Broken {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        _: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        panic!("it broke")
    }
}

#[cancellable(read)]
async fn extracts(_: Broken) {}

#[tokio::test]
async fn a_panic_before_the_body_is_not_a_client_that_left() {
    let notes = Notes::default();
    let app = Router::<()>::new().route("/extracts", get(extracts));
    let server = Server::with(lifecycle().observer(notes.clone()), app.into_axum()).await;
    h1::send(server.at, "GET", "/extracts").await.ends().await;
    notes.0.until("GET extracts 500 - - panicked").await;
    let report = server.stop().await;
    assert_eq!(report.cancelled.client_disconnected, 0, "{report}");
}

/// The thread of the observers does not live by the paused clock.
#[tokio::test(start_paused = true)]
async fn the_last_events_are_delivered_under_a_paused_clock() {
    let notes = Notes::default();
    let lifecycle: Lifecycle = lifecycle().observer(notes.clone()).build().unwrap();
    lifecycle.shutdown();
    drop(lifecycle.drained().await);
    assert!(notes.0.has("phase ended"), "{:?}", notes.0.all());
}

#[tokio::test]
async fn observers_see_requests_under_a_layer_too() {
    let (marks, notes) = (Marks::default(), Notes::default());
    let lifecycle: Lifecycle = lifecycle().observer(notes.clone()).build().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let app = axum::Router::new()
        .route("/read", axum::routing::get(read))
        .with_state(marks.clone())
        .layer(lifecycle.layer());
    drop(tokio::spawn(axum::serve(listener, app).into_future()));
    let client = h1::send(at, "GET", "/read").await;
    marks.until("read begun").await;
    client.leave(Leaving::Reset).await;
    notes.0.until("GET read 499 client_disconnected not_begun").await;
}
