//! A token that is awaited resolves in every handler that is not dropped.

use std::time::Duration;

use axum::{Router, extract::State, routing::get};
use followthrough::{Cause, RequestToken, cancellable};
use followthrough_tests::{Marks, Server, h1, h2c, soon};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);

#[cancellable(read)]
async fn kept(token: RequestToken) -> String {
    let mut kept = Vec::new();
    #[deadline = "50ms"]
    {
        kept.push(token.clone());
        sleep(MS).await;
    }
    sleep(100 * MS).await;
    let site = &kept[0];
    // The same token reports that it has fired.
    let said = site.is_cancelled();
    let cause = site.cancelled().await;
    format!("{said} {cause:?}")
}

#[tokio::test]
async fn the_token_of_a_bounded_statement_can_be_awaited_after_it() {
    let server = Server::start(Router::new().route("/", get(kept))).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!(answer.body, "true DeadlineExceeded");
}

#[cancellable(read)]
async fn kept_future(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    let quick;
    #[deadline = "50ms"]
    {
        let token = token.clone();
        // A future that watches the token, created under the statement's deadline.
        quick = async move { token.run_until_cancelled(std::future::pending::<()>()).await };
        sleep(MS).await;
    }
    let given_up = quick.await.is_none();
    marks.set("given up");
    if given_up { "given up" } else { "done" }
}

#[tokio::test]
async fn run_until_cancelled_of_a_bounded_statement_returns_after_it() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(kept_future)).with_state(marks.clone());
    let server = Server::start(app).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!(answer.body, "given up");
}

#[cancellable(read)]
async fn bridges(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    marks.set("begun");
    // The usual bridge to synchronous code.
    let cause = tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(token.cancelled())
    });
    marks.set(format!("{cause:?}"));
    "bridged"
}

#[test]
fn a_body_that_blocks_on_its_token_gets_its_thread_back() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    let returned = runtime.block_on(async {
        let marks = Marks::default();
        let app = Router::new().route("/", get(bridges)).with_state(marks.clone());
        let server = Server::start(app).await;
        let call = h1::send(server.at, "GET", "/").await;
        marks.until("begun").await;
        server.lifecycle.shutdown();
        for _ in 0..200 {
            sleep(10 * MS).await;
            if marks.has("ShuttingDown") {
                break;
            }
        }
        drop(call);
        marks.has("ShuttingDown")
    });
    // The blocked thread would never end.
    runtime.shutdown_background();
    assert!(returned, "the thread is blocked for ever");
}

#[cancellable(read, deadline = "100ms")]
async fn many(token: RequestToken) -> &'static str {
    let mut all: FuturesUnordered<_> = (0..100).map(|_| token.cancelled()).collect();
    while all.next().await.is_some() {}
    "not reached"
}

#[cancellable(read, deadline = "100ms")]
async fn local(token: RequestToken) -> String {
    let (send, receive) = tokio::sync::oneshot::channel();
    let inner = token.clone();
    tokio::spawn(async move {
        let _ = send.send(inner.cancelled().await);
    });
    let _ = receive.await;
    std::future::pending().await
}

#[tokio::test]
async fn many_waits_and_a_spawned_wait_end() {
    let app = Router::new().route("/many", get(many)).route("/local", get(local));
    let server = Server::start(app).await;
    for path in ["/many", "/local"] {
        assert_eq!(h1::call(server.at, "GET", path).await.status, 504, "{path}");
    }
}

#[cancellable(read, deadline = "80ms", internal)]
async fn inner(token: RequestToken) -> RequestToken {
    token
}

#[cancellable(read)]
async fn outer(token: RequestToken) -> String {
    let Ok(of_inner) = inner(token.clone()).await.into_result() else { return "no".into() };
    sleep(100 * MS).await;
    format!("{:?}", of_inner.cancelled().await)
}

#[tokio::test]
async fn the_token_of_a_nested_handler_can_be_awaited_by_its_caller() {
    let server = Server::start(Router::new().route("/", get(outer))).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!(answer.body, format!("{:?}", Cause::DeadlineExceeded));
}

// A handler called directly: in a plain handler, in another task, and with the token of a pair.
#[cancellable(read)]
async fn waits(token: RequestToken) -> &'static str {
    token.cancelled().await;
    "not reached"
}

async fn plain(token: RequestToken) -> String {
    let (pair, handle) = RequestToken::new_pair();
    let late = async {
        sleep(20 * MS).await;
        handle.cancel(Cause::ClientDisconnected);
    };
    let (a, ()) = tokio::join!(waits(pair), late);
    let b = token.run_until_cancelled(async { 1 }).await;
    format!("{:?} {b:?}", a.into_result().unwrap_err().cause())
}

#[tokio::test]
async fn the_token_of_a_direct_call_can_be_awaited() {
    let (token, handle) = RequestToken::new_pair();
    let call = tokio::spawn(async move { waits(token).await.into_result() });
    sleep(10 * MS).await;
    handle.cancel(Cause::DeadlineExceeded);
    let ended = soon("the call", call).await.unwrap().unwrap_err();
    assert_eq!(ended.cause(), Cause::DeadlineExceeded);
    // A direct call beside another one of the same request, in a plain handler.
    let server = Server::start(Router::new().route("/", get(plain))).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!(answer.body, "ClientDisconnected Some(1)");
}

/// Returns an error of its own when its token fires.
async fn search(marks: &Marks, token: &RequestToken) -> Result<&'static str, http::StatusCode> {
    marks.set("waiting");
    let found = token.run_until_cancelled(marks.until("never")).await;
    found.map(|()| "found").ok_or(http::StatusCode::BAD_GATEWAY)
}

#[cancellable(read, deadline = "100ms")]
async fn search_in_time(
    State(marks): State<Marks>,
    token: RequestToken,
) -> Result<&'static str, http::StatusCode> {
    search(&marks, &token).await
}

#[cancellable(read)]
async fn search_on(
    State(marks): State<Marks>,
    token: RequestToken,
) -> Result<&'static str, http::StatusCode> {
    search(&marks, &token).await
}

#[cancellable(read, cooperative)]
async fn stops_where_it_chooses(State(marks): State<Marks>, token: RequestToken) {
    marks.set("waiting");
    marks.set(token.cancelled().await.as_str());
}

#[tokio::test]
async fn law_05_the_runner_answers_for_a_read_whose_token_has_fired() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(search_in_time)).with_state(marks.clone());
    let server = Server::start(app).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 504);
    server.stop().await;
    for path in ["/", "/cooperative"] {
        let marks = Marks::default();
        let app = Router::new()
            .route("/", get(search_on))
            .route("/cooperative", get(stops_where_it_chooses))
            .with_state(marks.clone());
        let server = Server::start(app).await;
        let mut connection = h2c::connect(server.at).await;
        let over_2 = connection.send("GET", path).await;
        marks.until("waiting").await;
        let mut over_1 = h1::send(server.at, "GET", path).await;
        soon("the second one", async {
            while marks.all().len() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server.lifecycle.shutdown();
        // A cooperative handler is not dropped, and its own answer is sent.
        let expected = if path == "/" { 503 } else { 200 };
        assert_eq!(over_2.answer().await.status, expected, "{path}");
        assert_eq!(over_1.answer().await.status, expected, "{path}");
        assert_eq!(marks.has("shutting_down"), path != "/");
        server.ended().await;
    }
}
