//! tower-http's layers for traces, CORS, request ids and paths.

use std::time::Duration;

use axum::{
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
};
use followthrough::LifecycleBuilder;
use followthrough_tests::{Log, Marks, Server, h1, lifecycle};
use tokio::net::TcpListener;
use tower::Layer;
use tower_http::{
    ServiceBuilderExt, classify::ServerErrorsFailureClass, cors::CorsLayer,
    normalize_path::NormalizePathLayer, request_id::MakeRequestUuid, trace::TraceLayer,
};
use tracing::Span;

use crate::handlers::{MS, routes, until_detached};

/// A server whose `TraceLayer` marks each status and each failure.
async fn traced(marks: &Marks) -> Server {
    let (seen, failed) = (marks.clone(), marks.clone());
    let trace = TraceLayer::new_for_http()
        .on_response(move |response: &http::Response<_>, _: Duration, _: &Span| {
            seen.set(format!("traced {}", response.status().as_u16()));
        })
        .on_failure(move |class: ServerErrorsFailureClass, _: Duration, _: &Span| {
            failed.set(format!("failed: {class}"));
        });
    Server::start(routes(marks).layer(trace).into_axum()).await
}

#[tokio::test]
async fn a_trace_has_the_status_of_a_deadline_and_of_a_shutdown() {
    let marks = Marks::default();
    let server = traced(&marks).await;
    assert_eq!(h1::call(server.at, "GET", "/late").await.status, 504);
    assert!(marks.has("traced 504") && marks.has("failed: Status code: 504 Gateway Timeout"));
    let mut call = h1::send(server.at, "GET", "/read").await;
    marks.until("reading").await;
    server.lifecycle.shutdown();
    assert_eq!(call.answer().await.status, 503);
    assert!(marks.has("traced 503"), "{:?}", marks.all());
    server.ended().await;
}

#[tokio::test]
async fn a_trace_ends_without_a_status_when_the_client_leaves() {
    let (log, marks) = (Log::capture(), Marks::default());
    let server = traced(&marks).await;
    let call = h1::send(server.at, "GET", "/read").await;
    marks.until("reading").await;
    call.hang_up();
    marks.until("read dropped").await;
    server.stop().await;
    assert!(!marks.all().iter().any(|mark| mark.starts_with("traced")), "{:?}", marks.all());
    let [line] = &log.with("request cancelled")[..] else { panic!("{:?}", log.lines()) };
    assert_eq!(line.spans, ["request"], "the event of the runtime is in the layer's span");
}

#[tokio::test]
async fn a_write_keeps_the_span_of_the_trace_when_its_client_leaves() {
    let (_log, marks) = (Log::capture(), Marks::default());
    let server = traced(&marks).await;
    let call = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    call.hang_up();
    until_detached(&server).await;
    marks.set("go");
    marks.until(r#"landed in Some("request")"#).await;
    server.stop().await;
}

async fn slow(request: Request, next: Next) -> Response {
    if request.uri().path() == "/quick" {
        std::future::pending::<()>().await;
    }
    next.run(request).await
}

fn with_a_default_deadline() -> LifecycleBuilder {
    lifecycle().default_deadline(20 * MS)
}

#[tokio::test]
async fn answers_of_a_body_pass_cors_and_those_before_it_do_not() {
    let marks = Marks::default();
    let app = routes(&marks).layer(from_fn(slow)).layer(CorsLayer::permissive());
    let server = Server::with(with_a_default_deadline(), app.into_axum()).await;
    let of_the_body = h1::call(server.at, "GET", "/late").await;
    assert_eq!(of_the_body.status, 504);
    assert_eq!(of_the_body.header("access-control-allow-origin"), Some("*"));
    let before_the_body = h1::call(server.at, "GET", "/quick").await;
    assert_eq!(before_the_body.status, 504);
    assert!(before_the_body.body.contains(r#""outcome":"not_begun""#), "{before_the_body:?}");
    assert_eq!(before_the_body.header("access-control-allow-origin"), None);
    server.stop().await;
}

#[tokio::test]
async fn a_preflight_is_answered_by_cors_and_begins_nothing() {
    let marks = Marks::default();
    let server = Server::start(routes(&marks).layer(CorsLayer::permissive()).into_axum()).await;
    let preflight = "OPTIONS /write HTTP/1.1\r\nhost: test\r\norigin: http://shop\r\n\
                     access-control-request-method: POST\r\n\r\n";
    let answer = h1::raw(server.at, preflight).await.answer().await;
    assert_eq!(answer.status, 200);
    assert!(!marks.has("begun"));
    server.stop().await;
}

#[tokio::test]
async fn an_answer_of_a_deadline_has_its_request_id() {
    let marks = Marks::default();
    let ids =
        tower::ServiceBuilder::new().set_x_request_id(MakeRequestUuid).propagate_x_request_id();
    let server = Server::start(routes(&marks).layer(ids).into_axum()).await;
    let answer = h1::call(server.at, "GET", "/late").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("x-request-id").map(str::len), Some(36), "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_normalized_path_reaches_its_policy() {
    let marks = Marks::default();
    let app = NormalizePathLayer::trim_trailing_slash().layer(routes(&marks).into_axum());
    let lifecycle = lifecycle().build().expect("the test's lifecycle is sound");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let at = listener.local_addr().expect("it is bound");
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    let server = tokio::spawn(serve.into_future());
    let call = h1::send(at, "POST", "/write/").await;
    marks.until("begun").await;
    call.hang_up();
    marks.set("go");
    marks.until("landed").await;
    lifecycle.shutdown();
    let report = server.await.expect("it does not panic").expect("the listener holds");
    assert_eq!((report.durable.begun, report.exit_code()), (1, 0), "{report}");
}
