//! The order of a shutdown, its bound, and the bytes that it still reads.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use followthrough::{
    DurableToken, RequestToken, ShutdownToken, background, cancellable, durable_write, exempt,
    report::WorkKind,
};
use followthrough_tests::{Log, Marks, Server, h1, h2c, lifecycle, soon};
use tokio::{net::TcpListener, time::sleep};
use tracing::Level;

const MS: Duration = Duration::from_millis(1);

#[exempt(reason = "answers at once")]
async fn health() -> &'static str {
    "ok"
}

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    marks.set("written");
    "written"
}

#[cancellable(read)]
async fn write_at_a_site(State(marks): State<Marks>) -> &'static str {
    #[durable_write]
    marks.until("never").await;
    "not reached"
}

#[durable_write]
async fn heeds_the_last_moments(State(marks): State<Marks>, token: DurableToken) -> &'static str {
    assert_eq!(token.deadline(), None, "shutdown has not begun");
    marks.set("begun");
    token.cancelled().await;
    marks.set("last moments");
    "saved what there was"
}

#[cancellable(read)]
async fn read(State(marks): State<Marks>) -> &'static str {
    marks.set("reading");
    marks.until("go").await;
    "read"
}

#[background]
async fn relay(stop: ShutdownToken, marks: Marks, name: &'static str) {
    stop.cancelled().await;
    marks.set(format!("{name} stopped"));
}

#[tokio::test]
async fn the_shutdown_goes_from_not_ready_over_reads_and_writes_to_workers() {
    let marks = Marks::default();
    let builder = lifecycle().drain_delay(300 * MS).read_grace(2000 * MS);
    let lifecycle = builder.build().unwrap();
    let app = Router::new()
        .route("/ready", get(lifecycle.readiness()))
        .route("/health", get(health))
        .route("/write", post(write))
        .route("/read", get(read))
        .with_state(marks.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    let server = tokio::spawn(serve.into_future());
    for (name, first) in [("relay", false), ("consumer", true)] {
        let marks = marks.clone();
        let worker = lifecycle.spawn(name, move |stop| relay(stop, marks, name));
        if first {
            let _ = worker.stop_first();
        }
    }
    assert_eq!(h1::call(at, "GET", "/ready").await.status, 200);
    let mut reading = h1::send(at, "GET", "/read").await;
    marks.until("reading").await;
    lifecycle.shutdown();
    marks.until("consumer stopped").await;
    // The service still accepts, and its readiness probe answers 503.
    assert_eq!(h1::call(at, "GET", "/ready").await.status, 503);
    assert_eq!(h1::call(at, "GET", "/health").await.status, 200);
    let mut writing = h1::send(at, "POST", "/write").await;
    marks.until("begun").await;
    soon("the end of accepting", async {
        while tokio::net::TcpStream::connect(at).await.is_ok() {
            sleep(10 * MS).await;
        }
    })
    .await;
    // A read may finish within the read grace.
    assert!(!marks.has("relay stopped"));
    marks.set("go");
    assert_eq!(reading.answer().await.status, 200);
    assert_eq!(writing.answer().await.body, "written");
    let report = soon("the end", server).await.unwrap().unwrap();
    assert!(marks.has("relay stopped"));
    assert_eq!((report.exit_code(), report.durable.completed), (0, 1), "{report}");
    assert!(report.elapsed < 2000 * MS, "nothing is waited for that has ended: {report}");
}

#[tokio::test]
async fn the_shutdown_is_bounded_and_names_the_abandoned_work() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new()
        .route("/write", post(write))
        .route("/site", post(write_at_a_site))
        .route("/big", get(async || vec![0_u8; 64 << 20]))
        .with_state(marks.clone());
    let server = Server::with(lifecycle().grace(2000 * MS), app).await;
    let stuck = marks.clone();
    server.lifecycle.spawn("deaf", |_stop| async move { stuck.until("never").await });
    let _half_a_head = h1::raw(server.at, "GET / HT").await;
    let _half_a_preface =
        h1::raw(server.at, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let _does_not_read = h1::send(server.at, "GET", "/big").await;
    let _waits = h1::send(server.at, "POST", "/write").await;
    let mut connection = h2c::connect(server.at).await;
    connection.send("POST", "/site").await.reset();
    let _waits_too = connection.send("POST", "/site").await;
    let begun = std::time::Instant::now();
    while server.lifecycle.in_flight().work.len() < 2 {
        tokio::task::yield_now().await;
    }
    let report = server.stop().await;
    assert!(begun.elapsed() < 3000 * MS, "grace and a second: {:?}", begun.elapsed());
    assert_eq!(report.exit_code(), 1);
    let left = |kind| report.abandoned.iter().filter(move |work| work.kind == kind);
    assert_eq!(
        (left(WorkKind::Worker).count(), left(WorkKind::Durable).count()),
        (1, report.abandoned.len() - 1)
    );
    let site = left(WorkKind::Durable).find(|work| work.handler.ends_with("write_at_a_site"));
    assert!(site.unwrap().location.contains("tests/shutdown/order.rs:"), "{report}");
    assert_eq!(report.durable.abandoned, left(WorkKind::Durable).map(|_| 1).sum::<u64>());
    let text = report.to_string();
    assert!(text.contains("abandoned: deaf (worker"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["abandoned"].as_array().unwrap().len(), report.abandoned.len());
    assert!(json["elapsed_ms"].as_u64().unwrap() >= 1900);
    assert!(log.with("abandoned: ").iter().all(|line| line.level == Level::ERROR));
    assert!(!log.with("draining").is_empty(), "a log line each second names the remaining work");
}

#[tokio::test]
async fn durable_tokens_fire_in_the_last_moments() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(heeds_the_last_moments)).with_state(marks.clone());
    let server = Server::with(lifecycle().grace(2000 * MS), app).await;
    let mut call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    server.lifecycle.shutdown();
    assert_eq!(call.answer().await.body, "saved what there was");
    let report = server.ended().await;
    assert_eq!(report.exit_code(), 0);
    assert!(report.elapsed >= 900 * MS && report.elapsed < 2000 * MS, "{report}");
}

#[tokio::test]
async fn a_worker_that_fails_is_reported_and_starts_the_shutdown() {
    for panics in [false, true] {
        let log = Log::capture();
        let server = Server::start(Router::new()).await;
        server.lifecycle.spawn("fragile", async move |_stop| assert!(!panics, "it broke"));
        let report = server.ended().await;
        assert_eq!(report.exit_code(), 1);
        let expected = if panics { "it broke" } else { "returned before it was told to stop" };
        assert!(report.failed_workers[0].to_string().contains(expected), "{report}");
        assert_eq!(log.with("worker failed")[0].level, Level::ERROR);
    }
}

#[cancellable(read)]
async fn read_for_ever(State(marks): State<Marks>, _token: RequestToken) -> &'static str {
    let _dropped = marks.on_drop("dropped");
    marks.set("reading");
    std::future::pending().await
}

#[tokio::test]
async fn under_another_server_the_layer_holds_the_policies() {
    let marks = Marks::default();
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new()
        .route("/read", get(read_for_ever))
        .route("/write", post(write))
        .with_state(marks.clone())
        .layer(lifecycle.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let closing = lifecycle.stopping();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        closing.cancelled().await;
    });
    let server = tokio::spawn(server.into_future());
    let leaves = h1::send(at, "GET", "/read").await;
    marks.until("reading").await;
    leaves.hang_up();
    marks.until("dropped").await;
    let mut reading = h1::send(at, "GET", "/read").await;
    let writing = h1::send(at, "POST", "/write").await;
    marks.until("begun").await;
    while lifecycle.in_flight().requests < 2 {
        tokio::task::yield_now().await;
    }
    writing.hang_up();
    while !lifecycle.in_flight().work.iter().any(|work| work.detached) {
        tokio::task::yield_now().await;
    }
    lifecycle.shutdown();
    assert_eq!(reading.answer().await.status, 503);
    marks.set("go");
    let report = soon("the drain", lifecycle.drained()).await;
    assert!(marks.has("written"));
    assert_eq!((report.durable.followed_through, report.cancelled.shutting_down), (1, 1));
    soon("the other server", server).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_layer_wakes_its_requests_by_itself() {
    let marks = Marks::default();
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new().route("/", get(read_for_ever)).with_state(marks.clone());
    let request = http::Request::get("/").body(axum::body::Body::empty()).unwrap();
    let call = tokio::spawn(tower::ServiceExt::oneshot(app.layer(lifecycle.layer()), request));
    marks.until("reading").await;
    lifecycle.shutdown();
    let response = soon("the answer", call).await.unwrap().unwrap();
    assert_eq!(response.status(), 503);
    drop(response);
    soon("the drain", lifecycle.drained()).await;
}

#[tokio::test]
async fn invalid_lifecycle_settings_are_refused_with_the_reason() {
    let refused =
        |builder: followthrough::LifecycleBuilder| builder.build().unwrap_err().to_string();
    assert!(refused(lifecycle().grace(Duration::ZERO)).contains("`grace` is zero"));
    assert!(refused(lifecycle().read_grace(5000 * MS)).contains("raise `grace`"));
    assert!(refused(lifecycle().max_durable_writes(0)).contains("`max_durable_writes` is zero"));
    assert!(refused(lifecycle().default_deadline(Duration::ZERO)).contains("`default_deadline`"));
}

#[tokio::test]
async fn a_request_that_has_arrived_before_the_port_closes_is_answered() {
    use std::io::{Read, Write};
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    // Without another connection, the drain has no other work to wait for.
    for idle in [true, false] {
        let app = Router::new().route("/", get(async || "in time"));
        let server = Server::with(lifecycle().read_grace(1000 * MS), app).await;
        let mut used = None;
        if idle {
            let mut call = h1::raw(server.at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
            call.until("in time").await;
            used = Some(call);
        }
        // No await is in between, so the server reads none of this before it is told to stop.
        let mut clients: Vec<_> =
            (0..9).map(|_| std::net::TcpStream::connect(server.at).unwrap()).collect();
        for client in &mut clients {
            client.write_all(REQUEST).unwrap();
        }
        if let Some(used) = &used {
            used.more_at_once(REQUEST);
        }
        server.lifecycle.shutdown();
        if let Some(mut used) = used {
            assert_eq!(used.answer().await.body, "in time", "on a connection that was idle");
        }
        for mut client in clients {
            let answer = tokio::task::spawn_blocking(move || {
                let mut answer = String::new();
                let _ = client.read_to_string(&mut answer);
                answer
            });
            let answer = soon("the answer", answer).await.unwrap();
            assert!(answer.ends_with("in time"), "{answer:?}");
        }
        let report = server.ended().await;
        assert!(report.elapsed < 900 * MS, "{report}");
    }
}

#[tokio::test]
async fn a_new_connection_has_the_read_grace_for_its_first_request() {
    let app = Router::new().route("/", get(async || "in time"));
    let server = Server::with(lifecycle().grace(9000 * MS).read_grace(5000 * MS), app).await;
    let mut new = h1::raw(server.at, "").await;
    server.lifecycle.shutdown();
    soon("the end of accepting", async {
        while tokio::net::TcpStream::connect(server.at).await.is_ok() {
            sleep(10 * MS).await;
        }
    })
    .await;
    new.more("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = new.answer().await;
    assert_eq!((&*answer.body, answer.header("connection")), ("in time", Some("close")));
    let report = server.ended().await;
    assert!(report.elapsed < 4000 * MS, "{report}");
}

#[tokio::test]
async fn remaining_connections_are_dropped_at_the_end_with_half_close_allowed() {
    let marks = Marks::default();
    let pending = async |State(marks): State<Marks>| {
        let _dropped = marks.on_drop("dropped");
        marks.set("waiting");
        std::future::pending::<()>().await;
    };
    let app = Router::new().route("/", get(pending)).with_state(marks.clone());
    let server = Server::with(lifecycle().grace(1000 * MS).half_close(true), app).await;
    let _call = h1::send(server.at, "GET", "/").await;
    marks.until("waiting").await;
    let report = server.stop().await;
    assert!(marks.has("dropped"), "the handler is dropped before `serve` returns");
    let cut = &report.connections_cut[0];
    assert_eq!(
        (&*cut.requests[0].handler, cut.requests[0].kind),
        ("(no policy)", WorkKind::Request)
    );
    assert!(report.phases.cutting < 400 * MS, "{report}");
}
