//! The same handler, whose body is pending once, governed in each way.

use std::{future::poll_fn, task::Poll, time::Duration};

use axum::{
    Router,
    routing::{MethodRouter, post},
};
use followthrough::{Lifecycle, LifecycleService, RequestToken, cancellable, durable_write};
use http::StatusCode;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::timeout::TimeoutLayer;

/// The ways, in the order of the table.
pub const WAYS: [&str; 12] = [
    "bare",
    "timeout_layer",
    "token_idiom",
    "token_idiom_deadline",
    "spawn_idiom",
    "linked_bare",
    "read",
    "read_deadline",
    "read_token",
    "durable_write",
    "durable_site",
    "durable_site_token",
];

const LIMIT: Duration = Duration::from_secs(10);

/// Pending once, as a query that has to wait is.
async fn work() -> &'static str {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready("ok");
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

async fn bare() -> &'static str {
    work().await
}

#[cancellable(read)]
async fn read() -> &'static str {
    work().await
}

#[cancellable(read)]
#[deadline = "10s"]
async fn read_deadline() -> &'static str {
    work().await
}

#[cancellable(read)]
async fn read_token(token: RequestToken) -> &'static str {
    let answer = work().await;
    assert!(!token.is_cancelled());
    answer
}

#[durable_write]
async fn durable() -> &'static str {
    work().await
}

#[cancellable(read)]
async fn durable_site() -> &'static str {
    #[durable_write]
    let answer = work().await;
    answer
}

#[cancellable(read)]
async fn durable_site_token(token: RequestToken) -> &'static str {
    assert!(token.deadline().is_none());
    #[durable_write]
    let answer = work().await;
    answer
}

/// One way's service; two types, because boxing them alike would be measured, too.
pub enum App {
    /// Without us.
    Plain(Router),
    /// With what `serve` puts around it.
    Linked(LifecycleService<Router>),
}

/// The service for `way`.
pub fn app(way: &str) -> App {
    let router = |method| Router::new().route("/x", method);
    let plain = match way {
        "bare" => router(post(bare)),
        "timeout_layer" => router(post(bare))
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT)),
        "token_idiom" => router(token_idiom()),
        "token_idiom_deadline" => router(token_idiom_deadline()),
        "spawn_idiom" => router(spawn_idiom()),
        governed => return App::Linked(link(router(governed_handler(governed)))),
    };
    App::Plain(plain)
}

fn link(router: Router) -> LifecycleService<Router> {
    let lifecycle = Lifecycle::builder().build().expect("the defaults are sound");
    followthrough::__private::linked(&lifecycle, router)
}

fn governed_handler(way: &str) -> MethodRouter {
    match way {
        "linked_bare" => post(bare),
        "read" => post(read),
        "read_deadline" => post(read_deadline),
        "read_token" => post(read_token),
        "durable_write" => post(durable),
        "durable_site" => post(durable_site),
        "durable_site_token" => post(durable_site_token),
        _ => panic!("unknown way `{way}`; expected one of {WAYS:?}"),
    }
}

/// What a careful team writes by hand: a child token, cancelled by a drop guard, in a select.
async fn by_hand(root: CancellationToken) -> Result<&'static str, StatusCode> {
    let token = root.child_token();
    let _guard = token.clone().drop_guard();
    tokio::select! {
        answer = work() => Ok(answer),
        () = token.cancelled() => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn token_idiom() -> MethodRouter {
    let root = CancellationToken::new();
    post(move || by_hand(root.clone()))
}

fn token_idiom_deadline() -> MethodRouter {
    let root = CancellationToken::new();
    post(move || {
        let governed = tokio::time::timeout(LIMIT, by_hand(root.clone()));
        async move { governed.await.unwrap_or(Err(StatusCode::GATEWAY_TIMEOUT)) }
    })
}

fn spawn_idiom() -> MethodRouter {
    let tracker = TaskTracker::new();
    post(move || {
        let task = tracker.spawn(work());
        async move { task.await.unwrap_or("lost") }
    })
}
