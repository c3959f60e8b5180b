//! Middleware that spawns the rest of a request: a drain waits for its durable work, tells it the
//! end of the grace, and names and counts it.
//!
//! The tests have a binary of their own and take turns, because every drain of a server waits for
//! all such work of the process.

use std::{pin::Pin, sync::LazyLock, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::post,
};
use followthrough::{DurableToken, Lifecycle, ShutdownReport, durable_write, report::WorkKind};
use followthrough_tests::{Log, Marks, Server, h1, lifecycle, soon};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{
        Mutex,
        mpsc::{self, UnboundedSender},
        oneshot,
    },
    task::LocalSet,
    time::sleep,
};
use tower::ServiceExt;

const MS: Duration = Duration::from_millis(1);

static TURN: Mutex<()> = Mutex::const_new(());

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    sleep(50 * MS).await;
    marks.set("landed");
    "landed"
}

#[durable_write]
async fn never_ends(State(marks): State<Marks>, token: DurableToken) {
    marks.set("begun");
    token.cancelled().await;
    marks.set(format!("told, {}", token.deadline().is_some()));
    std::future::pending::<()>().await;
}

async fn spawns(request: Request, next: Next) -> Response {
    tokio::spawn(next.run(request)).await.expect("it does not panic")
}

type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the rest of a request in a `LocalSet`.
async fn runs_in_a_set(
    State(set): State<UnboundedSender<Rest>>,
    request: Request,
    next: Next,
) -> Response {
    let (answer, answered) = oneshot::channel();
    let rest = async move {
        let _ = answer.send(next.run(request).await);
    };
    assert!(set.send(Box::pin(rest)).is_ok(), "the set is there");
    answered.await.expect("it does not panic")
}

async fn spawns_elsewhere(request: Request, next: Next) -> Response {
    static ELSEWHERE: LazyLock<Runtime> = LazyLock::new(|| {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("it builds")
    });
    ELSEWHERE.spawn(next.run(request)).await.expect("it does not panic")
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/write", post(write))
        .route("/never", post(never_ends))
        .with_state(marks.clone())
}

/// The client of a write leaves, then the shutdown begins, then the write may end.
async fn is_waited_for(marks: &Marks, app: Router) -> ShutdownReport {
    let server = Server::start(app).await;
    let call = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    call.hang_up();
    let stopping = server.lifecycle.stopping();
    server.lifecycle.shutdown();
    let ended = async {
        let report = server.ended().await;
        assert!(marks.has("landed"), "`serve` returned before the write had landed: {report}");
        report
    };
    let goes = async {
        stopping.cancelled().await;
        marks.set("go");
    };
    tokio::join!(ended, goes).0
}

fn assert_landed(report: &ShutdownReport) {
    assert!(report.unlinked.begun >= 1, "{report}");
    assert_eq!(report.unlinked.begun, report.unlinked.completed, "{report}");
    assert_eq!((report.durable.begun, report.exit_code()), (0, 0), "{report}");
    assert!(report.to_string().contains("durable work without a lifecycle: "), "{report}");
}

#[tokio::test]
async fn a_write_in_a_spawned_rest_is_waited_for_and_counted() {
    let _turn = TURN.lock().await;
    let marks = Marks::default();
    assert_landed(&is_waited_for(&marks, app(&marks).layer(from_fn(spawns))).await);
}

#[test]
fn a_write_in_a_local_set_is_waited_for_and_counted() {
    let _turn = TURN.blocking_lock();
    let marks = Marks::default();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let report = LocalSet::new().block_on(&runtime, async {
        let (set, mut rests) = mpsc::unbounded_channel();
        let lifecycle = lifecycle().build().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let app = app(&marks).layer(from_fn_with_state(set, runs_in_a_set));
        let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
        let client = async {
            let call = h1::send(at, "POST", "/write").await;
            marks.until("begun").await;
            call.hang_up();
            lifecycle.shutdown();
            lifecycle.stopping().cancelled().await;
            marks.set("go");
        };
        tokio::task::spawn_local(async move {
            while let Some(rest) = rests.recv().await {
                tokio::task::spawn_local(rest);
            }
        });
        let (report, ()) = tokio::join!(serve.into_future(), client);
        assert!(marks.has("landed"), "`serve` returned before the write had landed");
        report.unwrap()
    });
    assert_landed(&report);
}

#[tokio::test]
async fn a_write_on_another_runtime_is_waited_for_and_counted() {
    let _turn = TURN.lock().await;
    let marks = Marks::default();
    assert_landed(&is_waited_for(&marks, app(&marks).layer(from_fn(spawns_elsewhere))).await);
}

#[tokio::test]
async fn a_write_that_never_ends_hears_of_the_end_of_the_grace_and_is_named() {
    let _turn = TURN.lock().await;
    let log = Log::capture();
    let marks = Marks::default();
    let app = app(&marks).layer(from_fn(spawns));
    let server = Server::with(lifecycle().grace(1000 * MS), app).await;
    let _waits = h1::send(server.at, "POST", "/never").await;
    marks.until("begun").await;
    let report = server.stop().await;
    marks.until("told, true").await;
    let [left] = &report.abandoned[..] else { panic!("one is left: {report}") };
    assert!(left.handler.ends_with("never_ends"), "{report}");
    assert!(left.location.starts_with("tests/e2e/tests/spawned_requests.rs:"), "{report}");
    assert_eq!(left.kind, WorkKind::Durable, "{report}");
    assert_eq!((report.unlinked.abandoned, report.exit_code()), (1, 1), "{report}");
    assert_eq!(log.with("abandoned: ").len(), 1, "{:?}", log.lines());
    // The work is settled, so the next drain of the process does not count it.
    let next = Server::start(Router::new()).await.stop().await;
    assert_eq!((next.abandoned.len(), next.exit_code()), (0, 0), "{next}");
}

/// Tests of other code that pause time may run in the same process.
#[tokio::test(start_paused = true)]
async fn the_drain_of_a_layer_leaves_other_runtimes_alone() {
    let _turn = TURN.lock().await;
    let marks = Marks::default();
    let (stuck, begun) = (app(&marks), marks.clone());
    let other = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let request = Request::post("/write").body(Body::empty()).unwrap();
            stuck.oneshot(request).await.unwrap()
        })
    });
    while !begun.has("begun") {
        std::thread::yield_now();
    }
    let lifecycle = Lifecycle::builder().signals(false).build().unwrap();
    let _layer = lifecycle.layer();
    lifecycle.shutdown();
    let report = soon("the drain", lifecycle.drained()).await;
    assert_eq!((report.unlinked.begun, report.exit_code()), (0, 0), "{report}");
    marks.set("go");
    assert_eq!(other.join().unwrap().status(), 200);
}

#[tokio::test]
async fn the_drain_of_a_layer_waits_for_its_own_runtime() {
    let _turn = TURN.lock().await;
    let marks = Marks::default();
    let lifecycle = lifecycle().build().unwrap();
    let app = app(&marks).layer(from_fn(spawns)).layer(lifecycle.layer());
    let request = Request::post("/write").body(Body::empty()).unwrap();
    let call = tokio::spawn(app.oneshot(request));
    marks.until("begun").await;
    call.abort();
    lifecycle.shutdown();
    lifecycle.stopping().cancelled().await;
    marks.set("go");
    let report = soon("the drain", lifecycle.drained()).await;
    assert!(marks.has("landed"), "{report}");
    assert_eq!(
        (report.unlinked.completed, report.exit_code()),
        (report.unlinked.begun, 0),
        "{report}"
    );
}
