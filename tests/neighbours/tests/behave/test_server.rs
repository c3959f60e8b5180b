//! axum-test's `TestServer`: with `lifecycle.layer()` around the app the policies hold in it.

use axum_test::{TestServer, Transport};
use followthrough::Lifecycle;
use followthrough_tests::{Marks, soon};

use crate::app::{app, marked};

fn start(marks: &Marks, transport: Transport) -> (TestServer, Lifecycle) {
    let lifecycle = marked(marks).build().expect("the settings are sound");
    let app = app(marks).layer(lifecycle.layer());
    (TestServer::builder().transport(transport).build(app), lifecycle)
}

async fn policies_hold_in(transport: Transport) {
    let marks = Marks::default();
    let (server, lifecycle) = start(&marks, transport);

    let answer = server.get("/late-read").await;
    assert_eq!(answer.status_code(), 504);
    let answer = server.post("/late-write").await;
    assert_eq!(answer.status_code(), 504);
    assert!(answer.text().contains(r#""outcome":"unknown""#), "{answer:?}");
    marks.set("go late");

    let call = tokio::spawn(server.post("/write").add_query_param("n", 1).into_future());
    marks.until("/write?n=1 begun").await;
    call.abort();
    let stopping = lifecycle.stopping();
    lifecycle.shutdown();
    stopping.cancelled().await;
    marks.set("go");
    let report = soon("the drain", lifecycle.drained()).await;
    assert!(marks.has("/write?n=1 landed"), "{report}");
    assert_eq!((report.durable.begun, report.durable.completed), (2, 2), "{report}");
}

#[tokio::test]
async fn policies_hold_in_a_test_server_in_the_process() {
    policies_hold_in(Transport::MockHttp).await;
}

#[tokio::test]
async fn policies_hold_in_a_test_server_over_http() {
    policies_hold_in(Transport::HttpRandomPort).await;
}
