//! A body that misses a task-local or a runtime outside of its request gets a message with the fix.

use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Waker},
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn},
    response::Response,
    routing::post,
};
use followthrough::{LifecycleBuilder, cancellable, durable_write};
use followthrough_tests::{Line, Log, Marks, Server, h1, lifecycle, soon};

tokio::task_local! {
    static TENANT: String;
}

async fn of_a_tenant(request: Request, next: Next) -> Response {
    TENANT.scope("acme".to_owned(), next.run(request)).await
}

#[durable_write]
async fn write(State(marks): State<Marks>) {
    marks.set("begun");
    marks.until("go").await;
    marks.set(TENANT.get());
}

#[durable_write]
async fn tries(State(marks): State<Marks>) {
    marks.set("begun");
    marks.until("go").await;
    marks.set(TENANT.try_with(String::clone).unwrap());
}

#[durable_write]
async fn panics_by_itself(State(marks): State<Marks>) {
    marks.set("begun");
    marks.until("go").await;
    panic!("out of paper");
}

/// Calls `path`, leaves, and waits for the end of the handler. Returns the marks and the log lines
/// about panics.
async fn after_the_client_left(builder: LifecycleBuilder, path: &str) -> (Marks, Vec<Line>) {
    let (marks, log) = (Marks::default(), Log::capture());
    let app = Router::new()
        .route("/write", post(write))
        .route("/tries", post(tries))
        .route("/panics", post(panics_by_itself))
        .layer(from_fn(of_a_tenant))
        .with_state(marks.clone());
    let server = Server::with(builder, app).await;
    let call = h1::send(server.at, "POST", path).await;
    marks.until("begun").await;
    call.hang_up();
    soon("the disconnect", async {
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    marks.set("go");
    server.stop().await;
    (marks, log.with("panicked"))
}

#[tokio::test]
async fn a_panic_on_a_missing_task_local_names_carry() {
    for path in ["/write", "/tries"] {
        let (marks, lines) = after_the_client_left(lifecycle(), path).await;
        assert!(!marks.has("acme"), "{path}");
        let [line] = &lines[..] else { panic!("{path}: one line, not {lines:?}") };
        assert_eq!(line.level, tracing::Level::ERROR);
        assert!(line.text.contains("`Lifecycle::builder().carry(&KEY)`"), "{}", line.text);
    }
}

#[tokio::test]
async fn with_carry_the_write_lands_and_other_panics_are_left_alone() {
    let (marks, lines) = after_the_client_left(lifecycle().carry(&TENANT), "/write").await;
    assert!(marks.has("acme") && lines.is_empty(), "{lines:?}");
    let (_, lines) = after_the_client_left(lifecycle(), "/panics").await;
    assert_eq!(lines.len(), 1);
    assert!(lines[0].text.contains("panicked: out of paper"), "{}", lines[0].text);
    assert!(!lines[0].text.contains("carry"), "{}", lines[0].text);
}

#[cancellable(read, deadline = "5s")]
async fn bounded() {
    pending::<()>().await;
}

#[test]
fn a_deadline_outside_of_a_runtime_says_what_is_missing() {
    let mut call = pin!(bounded());
    let poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    let panic = catch_unwind(AssertUnwindSafe(poll)).expect_err("there is no clock");
    let message = panic.downcast_ref::<String>().expect("it has a message");
    assert!(message.contains("durable::lost_task_locals::bounded` has a deadline"), "{message}");
    assert!(message.contains("`enable_time`"), "{message}");
}

#[test]
fn a_deadline_without_a_time_driver_names_enable_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = || runtime.block_on(async { bounded().await.into_result().is_ok() });
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("there is no clock");
    let message = panic.downcast_ref::<&str>().map(ToString::to_string);
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    assert!(message.as_ref().is_some_and(|it| it.contains("enable_time")), "{message:?}");
}
