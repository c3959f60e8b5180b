//! tower's `Retry` around a router: a write is done again.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use followthrough::durable_write;
use followthrough_tests::{Marks, Server, h1};
use http::StatusCode;
use tower::retry::{Policy, RetryLayer};

use crate::app::{app, marked, policies_hold};

/// Tries once more after an answer of 500 and above.
#[derive(Clone)]
struct Once(bool);

impl Policy<Request, Response, Infallible> for Once {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _request: &mut Request,
        result: &mut Result<Response, Infallible>,
    ) -> Option<Ready<()>> {
        let response = result.as_ref().unwrap_or_else(|never| match *never {});
        let again = response.status().is_server_error() && self.0;
        self.0 = false;
        again.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        let mut again = Request::new(Body::empty());
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        *again.extensions_mut() = request.extensions().clone();
        Some(again)
    }
}

#[durable_write]
async fn fails_late(State(marks): State<Marks>) -> StatusCode {
    marks.set("charged");
    StatusCode::INTERNAL_SERVER_ERROR
}

fn charges(marks: &Marks) -> usize {
    marks.all().iter().filter(|mark| *mark == "charged").count()
}

/// A retry layer cannot know what has landed: the write happens twice.
#[tokio::test]
async fn a_write_behind_a_retry_layer_happens_twice() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(fails_late)).with_state(marks.clone());
    let server = Server::with(marked(&marks), app.layer(RetryLayer::new(Once(true)))).await;
    assert_eq!(h1::call(server.at, "POST", "/").await.status, 500);
    assert_eq!(charges(&marks), 2);
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.completed), (2, 2), "{report}");
}

/// The deadline of the request has passed for the second try, too: no second write begins, and the
/// answer does not deny the first.
#[tokio::test]
async fn a_retry_after_the_deadline_begins_no_second_write() {
    let marks = Marks::default();
    let app = app(&marks).layer(RetryLayer::new(Once(true)));
    let server = Server::with(marked(&marks), app).await;
    let answer = h1::call(server.at, "POST", "/late-write").await;
    marks.set("go late");
    marks.until("/late-write landed").await;
    let report = server.stop().await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(report.durable.begun, 1, "{report}");
    assert!(answer.body.contains(r#""outcome":"unknown""#), "{answer:?}");
}

/// Neither the retry nor the shutdown ends a read twice.
#[tokio::test]
async fn a_retry_that_never_comes_changes_no_policy() {
    policies_hold(|app| app.layer(RetryLayer::new(Once(false)))).await;
}
