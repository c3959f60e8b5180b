//! tower-http's `NormalizePathLayer`: it stands around the router, because a router has chosen the
//! route before its own layers run.

use axum::Router;
use followthrough_tests::{Marks, h1, lifecycle, soon};
use tokio::net::TcpListener;
use tower::Layer;
use tower_http::normalize_path::NormalizePathLayer;

use crate::app::{app, policies_hold};

#[tokio::test]
async fn normalized_paths_change_no_policy() {
    let layer = NormalizePathLayer::trim_trailing_slash();
    policies_hold(|app| Router::new().fallback_service(layer.layer(app))).await;
}

/// `serve` takes the normalizing service as it is.
#[tokio::test]
async fn serve_takes_a_router_behind_a_normalized_path() {
    let marks = Marks::default();
    let lifecycle = lifecycle().build().expect("the settings are sound");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let at = listener.local_addr().expect("it is bound");
    let app = NormalizePathLayer::trim_trailing_slash().layer(app(&marks));
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    let server = tokio::spawn(serve.into_future());

    let call = h1::send(at, "POST", "/write/?1").await;
    marks.until("/write?1 begun").await;
    call.hang_up();
    lifecycle.shutdown();
    marks.set("go");
    let report = soon("the end", server).await.expect("no panic").expect("the listener holds");
    assert!(marks.has("/write?1 landed"), "{report}");
    assert_eq!((report.durable.begun, report.durable.completed), (1, 1), "{report}");
}
