//! The order of many layers that the page `runtime/guide/layers.md` shows.

use axum::{BoxError, Router, error_handling::HandleErrorLayer};
use followthrough_tests::{Marks, Server, h1};
use http::{HeaderName, StatusCode, header};
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::CorsLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};

use crate::app::{app, marked, policies_hold};

// As on the page, from here.
fn layers(app: Router) -> Router {
    let layers = ServiceBuilder::new() // the first layer is the outermost one
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(CorsLayer::permissive())
        .layer(CompressionLayer::new())
        .layer(HandleErrorLayer::new(overloaded)) // answers for the two layers below
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(1024)) // open requests, and not writes that go on
        .layer(CatchPanicLayer::new()); // so that a 500 has the headers of the layers above
    app.layer(layers)
}

async fn overloaded(_error: BoxError) -> (StatusCode, [(HeaderName, &'static str); 1]) {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")])
}
// As far as here.

#[tokio::test]
async fn the_order_of_the_page_changes_no_policy() {
    policies_hold(layers).await;
}

#[tokio::test]
async fn the_answer_to_a_passed_deadline_has_the_headers_of_the_layers() {
    let marks = Marks::default();
    let server = Server::with(marked(&marks), layers(app(&marks))).await;
    let answer = h1::call(server.at, "GET", "/late-read").await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    assert!(answer.header("access-control-allow-origin").is_some(), "{answer:?}");
}

#[test]
fn the_page_shows_this_order() {
    let shown = |text: &'static str| text.lines().filter(|line| !line.is_empty());
    let source = include_str!("stack.rs");
    let (_, source) = source.split_once("// As on the page, from here.\n").expect("it begins");
    let (source, _) = source.split_once("// As far as here.").expect("it ends");
    let source: Vec<&str> = shown(source).collect();
    let page: Vec<&str> = shown(crate::page::LAYERS).collect();
    let is_there = page.windows(source.len()).any(|part| part == source);
    assert!(is_there, "not in `runtime/guide/layers.md` as it is:\n{}", source.join("\n"));
}
