//! The metrics: what they say agrees with the clients, with the counts and with the report.

use std::{
    collections::BTreeMap,
    future::{Ready, ready},
};

use axum::extract::{Path, State};
use followthrough::{
    CallerDeadlines, Lifecycle, OnWorkerExit, Router, ShutdownToken, cancellable, durable_write,
    observe::{Observer, Phase},
    report::Counts,
    routing::{get, post},
};
use followthrough_tests::{Leaving, Marks, Server, h1, lifecycle, soon};
use tokio::{net::TcpListener, sync::watch};

/// The whole part of the samples of a text, by their name and labels.
pub(crate) type Samples = BTreeMap<String, u64>;

/// Reads a text, and checks its form: each sample belongs to the metric whose `# TYPE` came last.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    let mut metric = String::new();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.last(), Some(&"# EOF"));
    for line in &lines[..lines.len() - 1] {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            kind.split(' ').next().unwrap().clone_into(&mut metric);
        } else if let Some(about) = line.strip_prefix("# ") {
            assert_eq!(about.split(' ').nth(1), Some(&*metric), "{line}");
        } else {
            assert!(line.starts_with(&metric), "{line} is not of {metric}");
            let (name, value) = line.rsplit_once(' ').unwrap();
            let whole = value.split('.').next().unwrap();
            let twice = samples.insert(name.to_owned(), whole.parse().unwrap());
            assert_eq!(twice, None, "{line}");
        }
    }
    samples
}

fn sum(samples: &Samples, name: &str) -> u64 {
    let of = |sample: &&String| sample.split('{').next() == Some(name);
    samples.iter().filter(|(sample, _)| of(sample)).map(|(_, value)| value).sum()
}

pub(crate) async fn scrape(lifecycle: &Lifecycle) -> Samples {
    let answer = lifecycle.metrics()().await;
    let answer = axum::response::IntoResponse::into_response(answer);
    let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(media_type.starts_with("application/openmetrics-text; version=1.0.0"), "{media_type}");
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    parse(std::str::from_utf8(&body).unwrap())
}

#[derive(Clone)]
struct Gate {
    marks: Marks,
    open: watch::Receiver<bool>,
}

#[cancellable(read)]
async fn read(State(gate): State<Gate>) {
    gate.marks.set("read begun");
    let _ = gate.open.clone().wait_for(|open| *open).await;
}

#[durable_write]
async fn write(State(gate): State<Gate>) {
    gate.marks.set("write begun");
    let _ = gate.open.clone().wait_for(|open| *open).await;
}

/// The number of clients that hang up.
const RESETS: u64 = 10_000;
/// As many as are open at once.
const BATCH: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ten_thousand_resets_every_gauge_is_zero_and_the_counters_add_up() {
    let (opens, open) = watch::channel(false);
    let gate = Gate { marks: Marks::default(), open };
    let app = Router::new().route("/read", get(read)).route("/write", post(write)).with_state(gate);
    let builder = lifecycle().max_durable_writes(10_000);
    let server = Server::with(builder, app.into_axum()).await;
    let lifecycle = server.lifecycle.clone();
    assert_eq!(sum(&scrape(&lifecycle).await, "followthrough_requests_ended_total"), 0);
    for batch in 0..RESETS / BATCH {
        let (method, path) = if batch % 2 == 0 { ("GET", "/read") } else { ("POST", "/write") };
        let mut clients = Vec::new();
        for _ in 0..BATCH {
            clients.push(h1::send(server.at, method, path).await);
        }
        soon("the requests", async {
            let begun = |samples: &Samples| {
                if batch % 2 == 0 {
                    sum(samples, "followthrough_requests_in_flight") == BATCH
                } else {
                    let begun = sum(samples, "followthrough_durable_work_begun_total");
                    begun == BATCH * batch.div_ceil(2)
                }
            };
            while !begun(&scrape(&lifecycle).await) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for client in clients {
            drop(client.leave(Leaving::Reset).await);
        }
    }
    let ended = |samples: &Samples| sum(samples, "followthrough_requests_ended_total");
    soon("the end of the requests", async {
        while ended(&scrape(&lifecycle).await) < RESETS {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let half = RESETS / 2;
    let samples = scrape(&lifecycle).await;
    assert_eq!(sum(&samples, "followthrough_work_detached"), half);
    opens.send(true).unwrap();
    let report = server.stop().await;

    let last = scrape(&lifecycle).await;
    for gauge in ["requests_in_flight", "work_in_flight", "work_detached", "connections", "workers"]
    {
        assert_eq!(sum(&last, &format!("followthrough_{gauge}")), 0, "{gauge}");
    }
    assert_eq!(ended(&last), RESETS);
    let of = |handler: &str, method: &str| {
        last[&format!(
            "followthrough_requests_ended_total{{handler=\"operations::metrics::{handler}\",method=\"{method}\",\
             status=\"499\",cause=\"client_disconnected\"}}"
        )]
    };
    assert_eq!((of("read", "GET"), of("write", "POST")), (half, half));
    // The report agrees.
    assert_eq!(report.cancelled.client_disconnected, RESETS);
    assert_eq!(sum(&last, "followthrough_rescued_total"), half);
    assert_eq!(report.durable.followed_through, half);
    assert_eq!(sum(&last, "followthrough_durable_work_seconds_count"), half);
    assert_eq!(last["followthrough_phase{phase=\"ended\"}"], 1);
    let Counts { durable, cancelled, requests, .. } = lifecycle.counts();
    assert_eq!((durable, cancelled, requests), (report.durable, report.cancelled, 0));
}

#[tokio::test]
async fn a_client_cannot_invent_a_series() {
    let server = Server::with(lifecycle(), Router::<()>::new().into_axum()).await;
    let lifecycle = server.lifecycle.clone();
    drop(scrape(&lifecycle).await);
    for n in 0..20 {
        assert_eq!(h1::call(server.at, &format!("BREW{n}"), &format!("/{n}")).await.status, 404);
    }
    drop(server.stop().await);
    let samples = scrape(&lifecycle).await;
    let of_requests: Vec<_> = samples
        .iter()
        .filter(|(name, _)| name.starts_with("followthrough_requests_ended"))
        .collect();
    let only = "followthrough_requests_ended_total{handler=\"(no policy)\",method=\"_OTHER\",status=\"404\",cause=\"\"}";
    assert_eq!(of_requests, [(&only.to_owned(), &20)]);
}

#[tokio::test]
async fn the_headroom_of_deadlines_is_measured_where_it_is_asked_for() {
    #[cancellable(read, deadline = "30s")]
    async fn quick() {}
    for measured in [false, true] {
        let app = Router::new().route("/quick", get(quick));
        let builder = lifecycle().deadline_headroom(measured);
        let server = Server::with(builder, app.into_axum()).await;
        let lifecycle = server.lifecycle.clone();
        drop(scrape(&lifecycle).await);
        assert_eq!(h1::call(server.at, "GET", "/quick").await.status, 200);
        drop(server.stop().await);
        let samples = scrape(&lifecycle).await;
        let count = sum(&samples, "followthrough_deadline_headroom_seconds_count");
        assert_eq!(count, u64::from(measured));
        let left = sum(&samples, "followthrough_deadline_headroom_seconds_sum");
        assert!(!measured || (20..=30).contains(&left), "{left}");
    }
}

/// The page of the guide tells to serve the metrics on a port of their own.
#[tokio::test]
async fn a_scrape_in_the_last_second_of_a_drain_is_answered_and_not_counted() {
    let (opens, open) = watch::channel(false);
    let gate = Gate { marks: Marks::default(), open };
    let app = Router::new().route("/write", post(write)).with_state(gate.clone());
    let server = Server::with(lifecycle(), app.into_axum()).await;
    let metrics = Router::<()>::new().route("/metrics", get(server.lifecycle.metrics()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    drop(tokio::spawn(axum::serve(listener, metrics.into_axum()).into_future()));
    let client = h1::send(server.at, "POST", "/write").await;
    gate.marks.until("write begun").await;
    server.lifecycle.shutdown();
    server.lifecycle.grace_over().cancelled().await;
    let samples = parse(&h1::call(at, "GET", "/metrics").await.body);
    assert_eq!(samples["followthrough_phase{phase=\"grace_over\"}"], 1);
    assert_eq!(sum(&samples, "followthrough_work_in_flight"), 1);
    assert_eq!(sum(&samples, "followthrough_requests_in_flight"), 1);
    opens.send(true).unwrap();
    drop((client, server.ended().await));
    let samples = parse(&h1::call(at, "GET", "/metrics").await.body);
    assert_eq!(sum(&samples, "followthrough_requests_ended_total"), 1);
}

/// Panics at each phase.
struct Faulty;

impl Observer for Faulty {
    fn phase_began(&self, _: Phase) {
        panic!("an observer that is broken");
    }
}

fn undo(fails: bool) -> Ready<Result<(), &'static str>> {
    ready(if fails { Err("it cannot be undone") } else { Ok(()) })
}

#[cancellable(reversible_write, on_cancel = undo(fails), deadline = "20ms")]
async fn hold(Path(fails): Path<bool>) {
    std::future::pending::<()>().await;
}

#[durable_write(max_in_flight = 1)]
async fn alone(State(gate): State<Gate>) {
    gate.marks.set("alone");
    let _ = gate.open.clone().wait_for(|open| *open).await;
}

#[tokio::test]
async fn each_fault_has_its_counter() {
    let (opens, open) = watch::channel(false);
    let gate = Gate { marks: Marks::default(), open };
    let builder = lifecycle()
        .observer(Faulty)
        .caller_deadlines(CallerDeadlines::new().grpc_timeout())
        .on_worker_exit(|failed| match &*failed.worker {
            "restarts" => OnWorkerExit::Restart,
            _ => OnWorkerExit::KeepServing,
        });
    let app = Router::new()
        .route("/hold/{fails}", post(hold))
        .route("/alone", post(alone))
        .with_state(gate.clone());
    let server = Server::with(builder, app.into_axum()).await;
    let (lifecycle, at) = (server.lifecycle.clone(), server.at);
    drop(scrape(&lifecycle).await);

    for path in ["/hold/false", "/hold/true"] {
        assert_eq!(h1::call(at, "POST", path).await.status, 504);
    }
    let client = h1::send(at, "POST", "/alone").await;
    gate.marks.until("alone").await;
    assert_eq!(h1::call(at, "POST", "/alone").await.status, 503);
    let unread = "GET /nowhere HTTP/1.1\r\nhost: test\r\ngrpc-timeout: soon\r\n\r\n";
    assert_eq!(h1::raw(at, unread).await.answer().await.status, 404);
    h1::raw(at, "no head\r\n\r\n").await.ends().await;
    let failed = lifecycle.spawn("fails", async |_stop| {});
    soon("the end of the worker", failed.ended()).await;
    let starts = std::sync::atomic::AtomicU32::new(0);
    drop(lifecycle.spawn_restartable("restarts", move |stop: ShutdownToken| {
        let first = starts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        async move {
            assert!(!first, "the first start");
            stop.cancelled().await;
        }
    }));
    soon("the counters", async {
        let both = |samples: &Samples| {
            sum(samples, "followthrough_workers_restarted_total") == 1
                && sum(samples, "followthrough_compensations_ended_total") == 2
        };
        while !both(&scrape(&lifecycle).await) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(scrape(&lifecycle).await["followthrough_workers"], 1);
    opens.send(true).unwrap();
    drop((client, server.stop().await));

    let samples = scrape(&lifecycle).await;
    for once in [
        "compensations_ended_total{end=\"completed\"}",
        "compensations_ended_total{end=\"failed\"}",
        "refused_total{reason=\"limit_reached\"}",
        "deadlines_ignored_total",
        "connections_failed_total{reason=\"malformed_head\"}",
        "workers_failed_total",
        "workers_restarted_total",
    ] {
        assert_eq!(samples[&format!("followthrough_{once}")], 1, "{once}");
    }
    assert!(samples["followthrough_observer_faults_total{fault=\"panicked\"}"] > 1);
}
