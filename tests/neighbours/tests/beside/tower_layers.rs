//! tower's layers.

use std::future::{Ready, ready};

use axum::{
    BoxError,
    body::Body,
    error_handling::HandleErrorLayer,
    extract::{Request, State},
    response::Response,
};
use followthrough::{Router, durable_write, routing::post};
use followthrough_tests::{Marks, Server, h1, lifecycle};
use http::StatusCode;
use tower::{
    ServiceBuilder,
    retry::{Policy, RetryLayer},
};

use crate::handlers::{routes, until_detached};

async fn refused(_: BoxError) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// Repeats a request once when its answer is an error of the server.
#[derive(Clone, Debug)]
struct Once(bool);

impl<E> Policy<Request, Response, E> for Once {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request, result: &mut Result<Response, E>) -> Option<Ready<()>> {
        let failed = result.as_ref().is_ok_and(|response| response.status().is_server_error());
        (failed && std::mem::take(&mut self.0)).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        let mut copy = Request::new(Body::empty());
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        copy.headers_mut().clone_from(request.headers());
        copy.extensions_mut().clone_from(request.extensions());
        Some(copy)
    }
}

/// Writes, and cannot say so.
#[durable_write]
async fn write_and_fail(State(marks): State<Marks>) -> StatusCode {
    marks.set("begun");
    marks.until("go").await;
    marks.set("landed");
    StatusCode::BAD_GATEWAY
}

async fn retrying(marks: &Marks) -> Server {
    let app = Router::new().route("/", post(write_and_fail)).with_state(marks.clone());
    Server::start(app.layer(RetryLayer::new(Once(true))).into_axum()).await
}

fn count(marks: &Marks, mark: &str) -> usize {
    marks.all().iter().filter(|seen| *seen == mark).count()
}

#[tokio::test]
async fn a_write_behind_retry_happens_twice() {
    let marks = Marks::default();
    let server = retrying(&marks).await;
    marks.set("go");
    assert_eq!(h1::call(server.at, "POST", "/").await.status, 502);
    assert_eq!(count(&marks, "landed"), 2);
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.completed), (2, 2), "{report}");
}

#[tokio::test]
async fn a_write_behind_retry_is_not_repeated_for_a_client_that_left() {
    let marks = Marks::default();
    let server = retrying(&marks).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    call.hang_up();
    until_detached(&server).await;
    marks.set("go");
    marks.until("landed").await;
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.followed_through), (1, 1), "{report}");
}

/// A deadline is of the request, so the second attempt finds it passed.
#[tokio::test]
async fn a_write_whose_deadline_passed_is_not_begun_again_by_retry() {
    let marks = Marks::default();
    let app = routes(&marks).layer(RetryLayer::new(Once(true)));
    let server = Server::start(app.into_axum()).await;
    let answer = h1::call(server.at, "POST", "/late-write").await;
    assert_eq!(answer.status, 504);
    assert!(answer.body.contains(r#""outcome":"unknown""#), "the first may land: {answer:?}");
    marks.set("go");
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.followed_through), (1, 1), "{report}");
}

#[tokio::test]
async fn a_buffer_keeps_the_request_linked() {
    let marks = Marks::default();
    let buffered =
        ServiceBuilder::new().layer(HandleErrorLayer::new(refused)).buffer::<Request>(16);
    let server = Server::start(routes(&marks).layer(buffered).into_axum()).await;
    let read = h1::send(server.at, "GET", "/read").await;
    marks.until("reading").await;
    read.hang_up();
    marks.until("read dropped").await;
    let write = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    write.hang_up();
    until_detached(&server).await;
    marks.set("go");
    marks.until("landed").await;
    assert_eq!(h1::call(server.at, "GET", "/late").await.status, 504);
    let report = server.stop().await;
    assert_eq!(report.durable.followed_through, 1, "{report}");
    assert_eq!((report.cancelled.deadline_exceeded, report.exit_code()), (1, 0), "{report}");
}

#[tokio::test]
async fn a_refusal_of_load_shed_begins_nothing() {
    let marks = Marks::default();
    let server = limited(&marks).await;
    let mut first = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    assert_eq!(h1::call(server.at, "POST", "/write").await.status, 503);
    marks.set("go");
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(count(&marks, "begun"), 1);
    server.stop().await;
}

/// A client that leaves gives the place of its write to the next one.
#[tokio::test]
async fn a_concurrency_limit_does_not_count_writes_whose_clients_left() {
    let marks = Marks::default();
    let server = limited(&marks).await;
    let first = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    first.hang_up();
    until_detached(&server).await;
    let mut second = h1::send(server.at, "POST", "/write").await;
    followthrough_tests::soon("the second write", async {
        while count(&marks, "begun") < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    marks.set("go");
    assert_eq!(second.answer().await.status, 200);
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.followed_through), (2, 1), "{report}");
}

/// The limit of the lifecycle counts them.
#[tokio::test]
async fn a_limit_of_the_lifecycle_counts_writes_whose_clients_left() {
    let marks = Marks::default();
    let builder = lifecycle().max_durable_writes(1);
    let server = Server::with(builder, routes(&marks).into_axum()).await;
    let first = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    first.hang_up();
    until_detached(&server).await;
    assert_eq!(h1::call(server.at, "POST", "/write").await.status, 503);
    marks.set("go");
    marks.until("landed").await;
    server.stop().await;
}

/// One write at a time, and no queue.
async fn limited(marks: &Marks) -> Server {
    let limited = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(refused))
        .load_shed()
        .concurrency_limit(1);
    Server::start(routes(marks).layer(limited).into_axum()).await
}

/// A client that leaves while it waits for a place begins nothing.
#[tokio::test]
async fn a_client_that_leaves_in_the_queue_of_a_limit_begins_nothing() {
    let marks = Marks::default();
    let one = ServiceBuilder::new().concurrency_limit(1);
    let server = Server::start(routes(&marks).layer(one).into_axum()).await;
    let mut first = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    let waits = h1::send(server.at, "POST", "/write").await;
    followthrough_tests::soon("a second request", async {
        while server.lifecycle.in_flight().requests < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    waits.hang_up();
    followthrough_tests::soon("the end of the second request", async {
        while server.lifecycle.in_flight().requests > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    marks.set("go");
    assert_eq!(first.answer().await.status, 200);
    let report = server.stop().await;
    assert_eq!(report.durable.begun, 1, "{report}");
}
