//! Tracked tasks: a shutdown waits for them, names them, and their faults are seen.

use axum::{extract::State, routing::post};
use followthrough::{Lifecycle, durable_write, report::WorkKind};
use followthrough_tests::{Log, Marks, Server, h1, lifecycle, soon};

#[derive(Clone)]
struct Mailer {
    marks: Marks,
    lifecycle: Lifecycle,
}

#[durable_write]
async fn sign_up(State(mailer): State<Mailer>) -> &'static str {
    let marks = mailer.marks.clone();
    drop(mailer.lifecycle.track(async move {
        marks.set("mail begun");
        marks.until("go").await;
        tracing::info!(target: "followthrough", "mail sent");
        marks.set("mail sent");
    }));
    "welcome"
}

#[tokio::test]
async fn a_shutdown_waits_for_a_tracked_task_before_it_stops_the_workers() {
    let (marks, log) = (Marks::default(), Log::capture());
    let lifecycle = lifecycle().build().unwrap();
    let mailer = Mailer { marks: marks.clone(), lifecycle: lifecycle.clone() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/", post(sign_up)).with_state(mailer).layer(
        axum::middleware::from_fn(async |request, next: axum::middleware::Next| {
            tracing::Instrument::instrument(next.run(request), tracing::info_span!("request")).await
        }),
    );
    let served = tokio::spawn(
        followthrough::serve(listener, app).lifecycle(lifecycle.clone()).into_future(),
    );
    let stopped = marks.clone();
    drop(lifecycle.spawn("relay", async move |stop: followthrough::ShutdownToken| {
        stop.cancelled().await;
        stopped.set("workers stopped");
    }));
    assert_eq!(h1::call(at, "POST", "/").await.body, "welcome");
    marks.until("mail begun").await;
    let work = lifecycle.in_flight().work;
    assert_eq!((work.len(), work[0].kind), (1, WorkKind::Tracked));
    assert!(work[0].handler.ends_with("sign_up"), "{}", work[0]);
    assert!(work[0].location.contains("tracked.rs:"), "{}", work[0]);
    lifecycle.shutdown();
    lifecycle.stopping().cancelled().await;
    assert!(!marks.has("workers stopped"));
    marks.set("go");
    let report = soon("the end", served).await.unwrap().unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
    assert!(marks.when("mail sent") < marks.when("workers stopped"));
    let sent = log.with("mail sent");
    assert_eq!(sent[0].spans, ["request"]);
}

#[tokio::test]
async fn the_output_of_a_tracked_task_can_be_awaited() {
    let lifecycle = lifecycle().build().unwrap();
    assert_eq!(lifecycle.track(async { 7 }).await, Some(7));
    assert!(lifecycle.in_flight().work.is_empty());
}

#[tokio::test]
async fn a_tracked_task_that_panics_is_logged_and_ends_alone() {
    let (lifecycle, log) = (lifecycle().build().unwrap(), Log::capture());
    let output: Option<()> = lifecycle.track(async { panic!("it broke") }).await;
    assert_eq!(output, None);
    assert!(lifecycle.in_flight().work.is_empty());
    assert_eq!(log.with("a tracked task panicked: it broke").len(), 1);
}

#[tokio::test]
async fn a_task_that_is_left_behind_is_named_in_the_report() {
    let server = Server::start(axum::Router::new()).await;
    let lifecycle = server.lifecycle.clone();
    let tracked = lifecycle.track(std::future::pending::<()>());
    let report = server.stop().await;
    assert_eq!((report.abandoned.len(), report.exit_code()), (1, 1), "{report}");
    assert_eq!(report.abandoned[0].handler, "(tracked task)");
    assert!(report.abandoned[0].location.contains("tracked.rs:"), "{report}");
    assert_eq!(soon("the handle", tracked).await, None);
    let counts = lifecycle.counts();
    assert_eq!((counts.durable, counts.compensations), (report.durable, report.compensations));
    // The drain is over.
    let log = Log::capture();
    assert_eq!(lifecycle.track(async { 7 }).await, None);
    assert_eq!(log.with("task not started").len(), 1);
}
