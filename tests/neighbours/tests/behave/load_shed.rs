//! tower's `LoadShed`: over the limit a request is refused at once.

use axum::{BoxError, error_handling::HandleErrorLayer};
use followthrough_tests::{Marks, Server, h1};
use http::{HeaderName, StatusCode, header};
use tower::ServiceBuilder;

use crate::app::{app, marked, policies_hold};

async fn refused(_error: BoxError) -> (StatusCode, [(HeaderName, &'static str); 1]) {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")])
}

#[tokio::test]
async fn load_shedding_changes_no_policy() {
    let refuses = HandleErrorLayer::new(refused);
    let layer = ServiceBuilder::new().layer(refuses).load_shed().concurrency_limit(1);
    policies_hold(|app| app.layer(layer)).await;
}

/// The layer answers for itself: the runtime does not count its refusal, and no handler begins.
#[tokio::test]
async fn a_shed_request_is_answered_by_the_layer_and_not_counted() {
    let marks = Marks::default();
    let refuses = HandleErrorLayer::new(refused);
    let layer = ServiceBuilder::new().layer(refuses).load_shed().concurrency_limit(1);
    let server = Server::with(marked(&marks), app(&marks).layer(layer)).await;
    let mut first = h1::send(server.at, "POST", "/write?1").await;
    marks.until("/write?1 begun").await;
    let second = h1::call(server.at, "POST", "/write?2").await;
    assert_eq!((second.status, second.body.as_str()), (503, ""), "{second:?}");
    marks.set("go");
    assert_eq!(first.answer().await.body, "landed");
    let report = server.stop().await;
    assert!(!marks.has("/write?2 begun"), "{:?}", marks.all());
    assert_eq!((report.cancelled.refused, report.durable.begun), (0, 1), "{report}");
}
