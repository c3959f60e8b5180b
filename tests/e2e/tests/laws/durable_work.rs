//! Laws 7 to 9, 13 and 14: the point of no return.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    routing::post,
};
use followthrough::{Cause, Lifecycle, Outcome, RequestToken, cancellable, durable_write};
use followthrough_tests::{Log, Marks, Server, h1, h2c, lifecycle, soon};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Level};

const MS: Duration = Duration::from_millis(1);

#[durable_write]
async fn whole(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    marks.set("ended");
    "landed"
}

#[cancellable(read, deadline = "30s")]
async fn two_sites(State(marks): State<Marks>, cancel: CancellationToken) -> &'static str {
    assert!(!cancel.is_cancelled());
    #[durable_write]
    charge(&marks, &cancel).await;
    marks.set("between");
    tokio::task::yield_now().await;
    #[durable_write]
    insert(&marks, &cancel).await;
    tokio::task::yield_now().await;
    marks.set("ended");
    "landed"
}

async fn charge(marks: &Marks, cancel: &CancellationToken) {
    marks.set("begun");
    marks.until("go").await;
    assert!(!cancel.is_cancelled(), "a durable token knows nothing of the client");
}

async fn insert(marks: &Marks, cancel: &CancellationToken) {
    tokio::task::yield_now().await;
    assert!(!cancel.is_cancelled());
    marks.set("inserted");
}

async fn panics() -> &'static str {
    panic!("elsewhere on the connection")
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/whole", post(whole))
        .route("/sites", post(two_sites))
        .route("/panics", post(panics))
        .with_state(marks.clone())
}

/// The ways in which the client of a write can be lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    Close1,
    Reset2,
    Close2,
    PanicNextDoor,
}

#[tokio::test]
async fn law_07_begun_durable_work_runs_to_its_end() {
    for path in ["/whole", "/sites"] {
        for loss in [Loss::Close1, Loss::Reset2, Loss::Close2, Loss::PanicNextDoor] {
            let marks = Marks::default();
            let server = Server::start(app(&marks)).await;
            lose(&server, path, loss, &marks).await;
            while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
                tokio::task::yield_now().await;
            }
            marks.set("go");
            marks.until("ended").await;
            let report = server.stop().await;
            assert_eq!(report.durable.followed_through, 1, "{path} {loss:?} {report}");
            assert_eq!(marks.has("inserted"), path == "/sites");
        }
    }
}

/// Begins a write on `path` and loses its client in the way of `loss`.
async fn lose(server: &Server, path: &str, loss: Loss, marks: &Marks) {
    if loss == Loss::Close1 {
        let call = h1::send(server.at, "POST", path).await;
        marks.until("begun").await;
        return call.hang_up();
    }
    let mut connection = h2c::connect(server.at).await;
    let call = connection.send("POST", path).await;
    marks.until("begun").await;
    match loss {
        Loss::Reset2 => call.reset(),
        Loss::PanicNextDoor => {
            let _next_door = connection.send("POST", "/panics").await;
            tokio::task::yield_now().await;
            connection.hang_up();
        }
        _ => connection.hang_up(),
    }
}

#[tokio::test]
async fn law_07_shutdown_waits_for_durable_work_within_its_grace() {
    let marks = Marks::default();
    let server = Server::start(app(&marks)).await;
    let mut call = h1::send(server.at, "POST", "/sites").await;
    marks.until("begun").await;
    server.lifecycle.shutdown();
    soon("stopping", server.lifecycle.stopping().cancelled()).await;
    marks.set("go");
    let answer = call.answer().await;
    assert_eq!((answer.status, &*answer.body), (200, "landed"));
    assert_eq!(server.ended().await.exit_code(), 0);
}

#[cancellable(read)]
async fn late_checkpoint(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    marks.set("reading");
    token.cancelled().await;
    // The body has not returned to its runner since, so the statement reads the signals itself.
    #[durable_write]
    async { marks.set("begun") }.await;
    "not reached"
}

#[tokio::test]
async fn law_07_an_unbegun_statement_never_begins() {
    let marks = Marks::default();
    let (token, handle) = RequestToken::new_pair();
    let call = late_checkpoint(State(marks.clone()), token);
    let cancel = async {
        marks.until("reading").await;
        handle.cancel(Cause::ClientDisconnected);
    };
    let (result, ()) = tokio::join!(call, cancel);
    let cancelled = result.into_result().unwrap_err();
    assert_eq!(cancelled.outcome(), Outcome::NotBegun);
    assert_eq!(marks.all(), ["reading"]);
}

#[durable_write]
async fn panics_itself(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    panic!("of its own")
}

#[tokio::test]
async fn law_07_a_panic_of_the_body_ends_it_and_is_logged() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new().route("/", post(panics_itself)).with_state(marks.clone());
    let server = Server::start(app).await;
    let mut call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    marks.set("go");
    call.ends().await;
    let report = server.stop().await;
    assert_eq!((report.durable.panicked, report.durable.completed), (1, 0));
    let lines = log.with("the handler panicked: of its own");
    assert_eq!(lines.len(), 1, "{:?}", log.lines());
    assert_eq!(lines[0].level, Level::ERROR);
    assert!(lines[0].text.contains("laws::durable_work::panics_itself"));
}

#[durable_write(deadline = "60ms")]
async fn reopens(State(marks): State<Marks>) -> &'static str {
    marks.set("written");
    #[cancellable(read)]
    marks.until("never").await;
    "read as well"
}

#[durable_write]
async fn reopens_without_a_deadline(State(marks): State<Marks>) -> &'static str {
    marks.set("written");
    #[cancellable(read)]
    marks.until("go").await;
    "read as well"
}

#[tokio::test]
async fn law_08_a_reopened_statement_is_cut_by_a_deadline_after_the_write() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(reopens)).with_state(marks.clone());
    let server = Server::start(app).await;
    let answer = h1::call(server.at, "POST", "/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (504, None));
    assert!(answer.body.contains(r#""outcome":"completed""#), "{}", answer.body);
    assert_eq!(server.stop().await.durable.cut, 1);
}

#[tokio::test]
async fn law_08_a_reopened_statement_is_cut_by_a_disconnect_but_never_by_stopping() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(reopens_without_a_deadline)).with_state(marks.clone());
    let server = Server::start(app).await;
    let leaves = h1::send(server.at, "POST", "/").await;
    let mut stays = h1::send(server.at, "POST", "/").await;
    while marks.all().len() < 2 {
        tokio::task::yield_now().await;
    }
    leaves.hang_up();
    while server.lifecycle.in_flight().work.len() > 1 {
        tokio::task::yield_now().await;
    }
    server.lifecycle.shutdown();
    soon("stopping", server.lifecycle.stopping().cancelled()).await;
    sleep(50 * MS).await;
    marks.set("go");
    assert_eq!(stays.answer().await.body, "read as well");
    let report = server.ended().await;
    assert_eq!((report.durable.cut, report.durable.completed), (1, 1));
}

#[durable_write(deadline = "50ms")]
async fn slow_write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    marks.set("ended");
    "landed"
}

#[durable_write(deadline = "50ms", streaming_body = "the test is about what comes late")]
async fn slow_upload(State(marks): State<Marks>, body: Body) -> &'static str {
    marks.until("go").await;
    drop(body);
    marks.set("ended");
    "landed"
}

#[tokio::test]
async fn law_09_a_deadline_ends_the_wait_and_not_the_write() {
    let marks = Marks::default();
    let app = Router::new()
        .route("/", post(slow_write))
        .route("/upload", post(slow_upload))
        .with_state(marks.clone());
    let server = Server::start(app).await;
    let answer = h1::call(server.at, "POST", "/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (504, None));
    assert_eq!(answer.header("connection"), None, "the request is whole");
    assert!(answer.body.contains(r#""outcome":"unknown""#), "{}", answer.body);
    let half = "POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf";
    let mut upload = h1::raw(server.at, half).await;
    let answer = upload.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (504, Some("close")));
    assert!(!marks.has("ended"));
    marks.set("go");
    marks.until("ended").await;
    let report = server.stop().await;
    assert_eq!((report.durable.completed, report.durable.followed_through), (2, 2));
}

tokio::task_local! {
    static CALLER: &'static str;
}

#[durable_write]
async fn tells_where_it_runs(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    tracing::info!(target: "followthrough", "from the body");
    marks.set(format!("caller {:?}", CALLER.try_with(|caller| *caller).ok()));
    assert!(!marks.has("panic"), "after the client left");
    marks.set("ended");
    ""
}

#[tokio::test]
async fn law_13_detached_work_keeps_the_span_and_the_carried_task_locals() {
    for panics in [false, true] {
        let (log, marks) = (Log::capture(), Marks::default());
        if panics {
            marks.set("panic");
        }
        let app = Router::new().route("/", post(tells_where_it_runs)).with_state(marks.clone());
        let app = app.layer(axum::middleware::from_fn(
            async |request: axum::extract::Request, next: axum::middleware::Next| {
                let span = tracing::info_span!("request");
                CALLER.scope("alice", next.run(request).instrument(span)).await
            },
        ));
        let server = Server::with(lifecycle().carry(&CALLER), app).await;
        let call = h1::send(server.at, "POST", "/").await;
        marks.until("begun").await;
        call.hang_up();
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
        marks.set("go");
        marks.until("caller Some(\"alice\")").await;
        server.stop().await;
        let line = &log.with("from the body")[0];
        assert_eq!(line.spans, ["request"]);
        let panicked = log.with("the handler panicked: after the client left");
        assert_eq!(panicked.len(), usize::from(panics));
        assert!(panicked.iter().all(|line| line.spans == ["request"]));
        assert!(panicked.iter().all(|line| line.text.contains("tells_where_it_runs")));
    }
}

#[durable_write(max_in_flight = 1)]
async fn one_at_a_time(State(marks): State<Marks>, Path(id): Path<String>) -> String {
    marks.set(format!("begun {id}"));
    marks.until("go").await;
    id
}

#[cancellable(read)]
async fn site_with_a_permit(State(marks): State<Marks>, Path(id): Path<String>) -> String {
    marks.set(format!("read {id}"));
    #[durable_write]
    async {
        marks.set(format!("begun {id}"));
        marks.until("go").await;
    }
    .await;
    id
}

#[tokio::test]
async fn law_14_a_request_holds_one_permit_until_its_body_is_gone() {
    for (path, builder) in [("/own", lifecycle()), ("/site", lifecycle().max_durable_writes(1))] {
        let marks = Marks::default();
        let app = Router::new()
            .route("/own/{id}", post(one_at_a_time))
            .route("/site/{id}", post(site_with_a_permit))
            .with_state(marks.clone());
        let server = Server::with(builder, app).await;
        let first = h1::send(server.at, "POST", &format!("{path}/1")).await;
        marks.until("begun 1").await;
        refused(&server, &format!("{path}/2")).await;
        first.hang_up();
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
        // The client of the first write has left, and the write still holds its permit.
        refused(&server, &format!("{path}/3")).await;
        marks.set("go");
        while !server.lifecycle.in_flight().work.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(h1::call(server.at, "POST", &format!("{path}/4")).await.status, 200);
        assert!(!marks.has("begun 2") && !marks.has("begun 3"));
        let report = server.stop().await;
        assert_eq!((report.durable.begun, report.cancelled.refused), (2, 2));
    }
}

async fn refused(server: &Server, path: &str) {
    let answer = h1::call(server.at, "POST", path).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.body.contains(r#""cause":"limit_reached","outcome":"not_begun""#));
}

#[durable_write(needs = "2s")]
async fn needs_time(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    "landed"
}

#[tokio::test]
async fn a_write_that_needs_more_than_is_left_never_begins() {
    let marks = Marks::default();
    let builder = Lifecycle::builder().grace(2500 * MS).drain_delay(1000 * MS).signals(false);
    let app = Router::new().route("/", post(needs_time)).with_state(marks.clone());
    let server = Server::with(builder.read_grace(MS), app).await;
    assert_eq!(h1::call(server.at, "POST", "/").await.status, 200);
    // 1.5 s remain until the last moments begin, and the service still accepts.
    server.lifecycle.shutdown();
    let answer = h1::call(server.at, "POST", "/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.body.contains("time_too_short"), "{}", answer.body);
    assert_eq!(marks.all(), ["begun"]);
    server.ended().await;
}
