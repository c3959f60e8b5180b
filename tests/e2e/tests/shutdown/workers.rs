//! Workers: one is stopped alone, one fails without ending the service, and a relay outlives the
//! writes that feed it.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use followthrough::{OnWorkerExit, ShutdownToken, background, durable_write};
use followthrough_tests::{Log, Marks, Server, h1, lifecycle, soon};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn one_worker_can_be_stopped_alone() {
    let marks = Marks::default();
    let server = Server::start(Router::new()).await;
    let worker = |name: &'static str| {
        let marks = marks.clone();
        server.lifecycle.spawn(name, async move |stop: ShutdownToken| {
            stop.cancelled().await;
            marks.set(name);
        })
    };
    let (one, other) = (worker("one"), worker("other"));
    assert!(!one.has_ended());
    one.stop();
    soon("the end of one", one.ended()).await;
    assert_eq!(server.lifecycle.in_flight().workers, ["other"]);
    assert!(!other.has_ended());
    let report = server.stop().await;
    soon("the end of the other", other.ended()).await;
    // The worker ended as it was told.
    assert_eq!((marks.all().len(), report.exit_code()), (2, 0), "{report}");
}

#[tokio::test]
async fn a_worker_may_fail_without_taking_the_service_along() {
    let (log, marks) = (Log::capture(), Marks::default());
    let asked = marks.clone();
    let builder = lifecycle().on_worker_exit(move |failed| {
        asked.set(failed.to_string());
        match failed.worker.as_str() {
            "vital" => OnWorkerExit::ShutDown,
            "careless" => panic!("no answer"),
            _ => OnWorkerExit::KeepServing,
        }
    });
    let app = Router::new().route("/", get(async || "here"));
    let server = Server::with(builder, app).await;
    let early = server.lifecycle.spawn("early", async |_stop| {});
    soon("the early one", early.ended()).await;
    let broken = server.lifecycle.spawn("broken", async |_stop| panic!("it broke"));
    soon("the broken one", broken.ended()).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.body, "here");
    let lines = log.with("serving on without it");
    assert_eq!((lines.len(), lines[0].level), (2, tracing::Level::ERROR));
    assert_eq!(
        marks.all(),
        ["early returned before it was told to stop", "broken panicked: it broke"]
    );
    server.lifecycle.spawn("vital", async |_stop| {});
    let report = server.ended().await;
    let failed: Vec<_> = report.failed_workers.iter().map(|failed| &*failed.worker).collect();
    assert_eq!((failed, report.exit_code()), (vec!["early", "broken", "vital"], 1), "{report}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["failed_workers"][1]["panic"], "it broke");
    assert_eq!(json["failed_workers"][0]["panic"], serde_json::Value::Null);

    // A hook that panics does not keep a broken service running.
    let builder = lifecycle().on_worker_exit(|_| panic!("no answer"));
    let server = Server::with(builder, Router::new()).await;
    server.lifecycle.spawn("careless", async |_stop| {});
    assert_eq!(server.ended().await.exit_code(), 1);
    assert_eq!(log.with("the `on_worker_exit` hook panicked: no answer").len(), 1);
}

type Outbox = UnboundedSender<u32>;

#[durable_write]
async fn write(State((marks, outbox)): State<(Marks, Outbox)>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    outbox.send(1).expect("the relay is there to the last");
    "written"
}

#[background]
async fn relay(stop: ShutdownToken, mut outbox: UnboundedReceiver<u32>, marks: Marks) {
    let mut relayed = 0;
    let told = loop {
        tokio::select! {
            biased;
            Some(row) = outbox.recv() => relayed += row,
            _ = stop.cancelled() => break Instant::now(),
        }
    };
    marks.set(format!("relayed {relayed}, {} ms left", stop.remaining().unwrap().as_millis()));
    assert!(told <= Instant::now());
}

#[tokio::test]
async fn an_outbox_relay_outlives_the_writes_that_feed_it() {
    let marks = Marks::default();
    let (outbox, rows) = unbounded_channel();
    let app = Router::new().route("/", post(write)).with_state((marks.clone(), outbox));
    let server = Server::start(app).await;
    let reads = marks.clone();
    server.lifecycle.spawn("relay", |stop| relay(stop, rows, reads));
    let mut call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    server.lifecycle.shutdown();
    soon("stopping", server.lifecycle.stopping().cancelled()).await;
    assert_eq!(server.lifecycle.in_flight().workers, ["relay"]);
    marks.set("go");
    assert_eq!(call.answer().await.body, "written");
    let report = server.ended().await;
    assert!(marks.all().iter().any(|mark| mark.starts_with("relayed 1,")), "{:?}", marks.all());
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[tokio::test]
async fn workers_are_told_at_three_quarters_of_the_grace_at_the_latest() {
    let marks = Marks::default();
    let (outbox, rows) = unbounded_channel();
    let app = Router::new().route("/", post(write)).with_state((marks.clone(), outbox));
    let server = Server::with(lifecycle().grace(4000 * MS), app).await;
    let reads = marks.clone();
    server.lifecycle.spawn("relay", |stop| relay(stop, rows, reads));
    let _stuck = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    let begun = Instant::now();
    server.lifecycle.shutdown();
    soon("the relay's end", async {
        while !server.lifecycle.in_flight().workers.is_empty() {
            tokio::time::sleep(MS).await;
        }
    })
    .await;
    let told = begun.elapsed();
    assert!(told >= 2950 * MS && told < 3900 * MS, "{told:?}");
    let report = server.ended().await;
    assert_eq!(report.abandoned.len(), 1, "{report}");
    let phases = serde_json::to_value(report.phases).unwrap();
    let took = |phase: &str| phases[phase].as_u64().unwrap();
    // On a busy machine a phase may begin late, and still ends on time.
    let until_stopped = took("not_ready_ms") + took("closing_ms") + took("stopping_ms");
    assert!(until_stopped >= 2990 && took("last_moments_ms") > 0, "{phases}");
    let all: u64 = ["not_ready", "closing", "stopping", "workers", "last_moments", "cutting"]
        .iter()
        .map(|phase| took(&format!("{phase}_ms")))
        .sum();
    let elapsed = u64::try_from(report.elapsed.as_millis()).unwrap();
    // Six phases, each without its fraction of a millisecond, and the time until the report.
    assert!(all <= elapsed && elapsed < all + 500, "{phases} of {elapsed}");
    let seconds = |phase: &str| Duration::from_millis(took(phase)).as_secs_f64();
    let text = report.to_string();
    for (phase, word) in [("not_ready_ms", "not ready"), ("closing_ms", "closing")] {
        // The text rounds the durations, and the JSON truncates them.
        let [low, high] =
            [seconds(phase), seconds(phase) + 0.001].map(|s| format!("{word} {s:.1} s"));
        assert!(text.contains(&low) || text.contains(&high), "{text}");
    }
    assert!(text.contains("phases: not ready "), "{text}");
}
