//! Compensations: their order, their failures, their limit, and the ends that do not lose them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    routing::post,
};
use followthrough::{Compensate, ShutdownReport, cancellable, compensate, durable_write};
use followthrough_tests::{Log, Marks, Server, h1, h2c, lifecycle, soon};
#[cfg(unix)]
use followthrough_tests::{Process, Signal};
use serde_json::{Value, json};
use tokio::task::yield_now;
use tracing::Level;

const MS: Duration = Duration::from_millis(1);

fn counts(report: &ShutdownReport) -> Value {
    serde_json::to_value(report).expect("a report serialises")["compensations"].clone()
}

/// Yields so often that another compensation would interleave.
async fn undo(marks: Marks, what: &'static str) {
    marks.set(format!("{what} begins"));
    for _ in 0..20 {
        yield_now().await;
    }
    marks.set(format!("{what} ends"));
}

#[cancellable(read, internal)]
async fn callee(marks: Marks) {
    let _callee = compensate(undo(marks.clone(), "callee"));
    marks.set("begun");
    std::future::pending::<()>().await;
}

#[cancellable(reversible_write, on_cancel = undo(marks.clone(), "on_cancel"))]
async fn many(State(marks): State<Marks>) {
    // A vector drops its elements from the first to the last.
    let _guards: Vec<Compensate<_>> =
        ["first", "second"].map(|name| compensate(undo(marks.clone(), name))).into();
    let _third = compensate(undo(marks.clone(), "third"));
    let _ = callee(marks.clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn law_10a_compensations_run_one_after_the_other_the_last_registered_first() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(many)).with_state(marks.clone());
    let server = Server::start(app).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    call.hang_up();
    marks.until("on_cancel ends").await;
    let expected = ["callee", "third", "second", "first", "on_cancel"]
        .map(|name| [format!("{name} begins"), format!("{name} ends")]);
    assert_eq!(marks.all()[1..], expected.concat());
    let report = server.stop().await;
    assert_eq!(counts(&report), json!({"run": 5, "failed": 0, "abandoned": 0}), "{report}");
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[derive(Debug)]
struct NotThere;

async fn cannot_undo(panics: bool) -> Result<u64, NotThere> {
    yield_now().await;
    assert!(!panics, "no way back");
    Err(NotThere)
}

#[cancellable(reversible_write, on_cancel = cannot_undo(panics == "true"))]
async fn not_to_be_undone(State(marks): State<Marks>, Path(panics): Path<String>) {
    let _ = panics;
    let _works = compensate(async { Ok::<_, NotThere>(()) });
    marks.set("begun");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn law_10a_a_compensation_that_fails_is_an_error_and_counted() {
    for (panics, why) in [("false", "failed: NotThere"), ("true", "panicked: no way back")] {
        let (log, marks) = (Log::capture(), Marks::default());
        let app = Router::new().route("/{panics}", post(not_to_be_undone));
        let server = Server::start(app.with_state(marks.clone())).await;
        let call = h1::send(server.at, "POST", &format!("/{panics}")).await;
        marks.until("begun").await;
        call.hang_up();
        soon("the failure", async {
            while log.with("the compensation ").is_empty() {
                yield_now().await;
            }
        })
        .await;
        let report = server.stop().await;
        let lines = log.with("the compensation ");
        assert_eq!((lines.len(), lines[0].level), (1, Level::ERROR), "{lines:?}");
        assert!(lines[0].text.contains(why), "{lines:?}");
        assert!(lines[0].text.contains("tests/durable/compensations.rs:"), "{lines:?}");
        assert_eq!(log.with("compensated").len(), 1, "the guard's alone: {:?}", log.lines());
        assert_eq!(counts(&report), json!({"run": 1, "failed": 1, "abandoned": 0}), "{report}");
    }
}

/// The number of compensations that run, and the highest number so far.
#[derive(Clone, Default)]
struct Gauge {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    undone: Arc<AtomicUsize>,
    marks: Marks,
}

impl Gauge {
    async fn undo(self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.marks.until("go").await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.undone.fetch_add(1, Ordering::SeqCst);
    }
}

#[cancellable(reversible_write, on_cancel = gauge.clone().undo())]
async fn reversible(State(gauge): State<Gauge>) {
    gauge.marks.set("begun");
    std::future::pending::<()>().await;
}

#[cancellable(idempotent_write)]
async fn guarded(State(gauge): State<Gauge>) {
    let _undo = compensate(gauge.clone().undo());
    gauge.marks.set("begun");
    std::future::pending::<()>().await;
}

const LIMIT: usize = 4;

#[tokio::test]
async fn law_14_compensations_are_bounded_by_the_limit_on_durable_writes() {
    for path in ["/reversible", "/guarded"] {
        let gauge = Gauge::default();
        let app = Router::new()
            .route("/reversible", post(reversible))
            .route("/guarded", post(guarded))
            .with_state(gauge.clone());
        let server = Server::with(lifecycle().max_durable_writes(LIMIT), app).await;
        let mut connection = h2c::connect(server.at).await;
        for n in 1..=LIMIT {
            let call = connection.send("POST", path).await;
            soon("it holds a permit", async {
                while server.lifecycle.in_flight().work.len() < n {
                    yield_now().await;
                }
            })
            .await;
            call.reset();
        }
        soon("all compensations", async {
            while gauge.now.load(Ordering::SeqCst) < LIMIT {
                yield_now().await;
            }
        })
        .await;
        for _ in 0..20 {
            let refused = connection.send("POST", path).await.answer().await;
            assert_eq!(refused.status, 503, "{path}: {}", refused.body);
            assert!(refused.body.contains(r#""cause":"limit_reached""#), "{}", refused.body);
            assert!(refused.body.contains(r#""outcome":"not_begun""#), "{}", refused.body);
        }
        gauge.marks.set("go");
        let report = server.stop().await;
        assert_eq!(gauge.most.load(Ordering::SeqCst), LIMIT, "{path}");
        assert_eq!(gauge.undone.load(Ordering::SeqCst), LIMIT, "{path}");
        assert_eq!(report.durable.begun, 0, "a reversible write is not durable: {report}");
    }
}

/// The macro cannot see this guard.
fn guard(gauge: &Gauge) -> impl Sized + use<> {
    compensate(gauge.clone().undo())
}

#[cancellable(idempotent_write)]
async fn guarded_elsewhere(State(gauge): State<Gauge>) {
    let _undo = guard(&gauge);
    gauge.marks.set("begun");
    gauge.now.fetch_add(1000, Ordering::SeqCst);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_guard_that_is_made_at_the_limit_waits_for_its_turn() {
    const CALLS: usize = 3 * LIMIT;
    let gauge = Gauge::default();
    let app = Router::new().route("/", post(guarded_elsewhere)).with_state(gauge.clone());
    let server = Server::with(lifecycle().max_durable_writes(LIMIT), app).await;
    let mut connection = h2c::connect(server.at).await;
    for _ in 0..CALLS {
        let call = connection.send("POST", "/").await;
        soon("its begin", async {
            while gauge.now.load(Ordering::SeqCst) < 1000 {
                yield_now().await;
            }
        })
        .await;
        gauge.now.fetch_sub(1000, Ordering::SeqCst);
        call.reset();
    }
    soon("as many as may", async {
        while gauge.now.load(Ordering::SeqCst) < 2 * LIMIT {
            yield_now().await;
        }
    })
    .await;
    gauge.marks.set("go");
    let report = server.stop().await;
    // Handlers with a permit, and compensations that take turns.
    assert_eq!(gauge.most.load(Ordering::SeqCst) % 1000, 2 * LIMIT);
    assert_eq!(gauge.undone.load(Ordering::SeqCst), CALLS, "none is lost: {report}");
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("a destructor panics");
    }
}

#[cancellable(reversible_write, on_cancel = undo(marks.clone(), "on_cancel"), deadline = "200ms")]
async fn drops_badly(State(marks): State<Marks>) {
    let _outer = compensate(undo(marks.clone(), "guard"));
    let _panics = PanicsWhenDropped;
    marks.set("begun");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_panic_in_a_destructor_loses_neither_the_compensations_nor_the_answer() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new().route("/", post(drops_badly)).with_state(marks.clone());
    let server = Server::start(app).await;
    let answer = h1::call(server.at, "POST", "/").await;
    assert_eq!(answer.status, 504, "{}", answer.body);
    marks.until("on_cancel ends").await;
    let leaves = h1::send(server.at, "POST", "/").await;
    soon("the second one", async {
        while marks.all().iter().filter(|mark| *mark == "begun").count() < 2 {
            yield_now().await;
        }
    })
    .await;
    leaves.hang_up();
    let report = server.stop().await;
    assert_eq!(counts(&report), json!({"run": 4, "failed": 0, "abandoned": 0}), "{report}");
    let lines = log.with("a destructor panicked when the handler was cut: a destructor panics");
    assert_eq!(lines.len(), 2, "{:?}", log.lines());
}

/// The signal comes during the read grace, when the compensation has not begun, and when it runs.
#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_counts_the_compensations_that_it_loses() {
    for (begins, lost) in [(false, "reversible"), (true, "compensation")] {
        let flags = ["--grace-ms", "8000", "--read-grace-ms", "6000"];
        let mut server = Process::start(env!("CARGO_BIN_EXE_bounded-server"), &flags).await;
        let call = h1::send(server.at, "POST", "/reversible").await;
        server.begun("reversible").await;
        if begins {
            call.hang_up();
            server.begun("undo").await;
        }
        server.signal(Signal::TERM);
        // Two signals in quick succession count as one.
        tokio::time::sleep(700 * MS).await;
        let second = server.signal(Signal::TERM);
        let exit = server.exit(second).await;
        let expected = json!({"run": 0, "failed": 0, "abandoned": 2});
        assert_eq!(exit.report["compensations"], expected, "{exit}");
        assert_eq!(exit.abandoned(), [("reversible", lost)], "{exit}");
        assert_eq!(exit.code, Some(1), "{exit}");
    }
}

#[durable_write]
async fn writes_then_waits(State(marks): State<Marks>) {
    marks.set("written");
    let _undo = compensate(undo(marks.clone(), "the write"));
    #[cancellable(read)]
    #[deadline = "300ms"]
    marks.until("never").await;
}

#[cancellable(read)]
async fn guards_then_writes(State(marks): State<Marks>) {
    let _undo = compensate(undo(marks.clone(), "what came before"));
    #[durable_write]
    {
        marks.set("written");
        yield_now().await;
    }
    #[cancellable(read)]
    #[deadline = "300ms"]
    marks.until("never").await;
}

#[tokio::test]
async fn a_guard_made_past_the_point_of_no_return_undoes_what_a_reopened_statement_ends() {
    for leaves in [true, false] {
        let marks = Marks::default();
        let app = Router::new()
            .route("/undone", post(writes_then_waits))
            .route("/kept", post(guards_then_writes))
            .with_state(marks.clone());
        let server = Server::start(app).await;
        for path in ["/kept", "/undone"] {
            let before = marks.all().len();
            let mut call = h1::send(server.at, "POST", path).await;
            soon("the write", async {
                while marks.all().len() == before {
                    yield_now().await;
                }
            })
            .await;
            if leaves {
                call.hang_up();
                continue;
            }
            let answer = call.answer().await;
            assert_eq!(answer.status, 504);
            let (outcome, text) = match path {
                "/kept" => ("completed", "after the durable work had landed"),
                _ => ("unknown", "the work is being undone; ask before repeating it"),
            };
            assert!(answer.body.contains(&format!(r#""outcome":"{outcome}""#)), "{}", answer.body);
            assert!(answer.body.contains(text), "{}", answer.body);
        }
        marks.until("the write ends").await;
        let report = server.stop().await;
        assert!(!marks.has("what came before begins"), "{:?}", marks.all());
        assert_eq!(counts(&report), json!({"run": 1, "failed": 0, "abandoned": 0}), "{report}");
    }
}
