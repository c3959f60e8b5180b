//! The spans that `tracing-opentelemetry` exports.

use axum::{extract::State, middleware::Next, routing::post};
use followthrough::{Lifecycle, durable_write};
use followthrough_tests::{Leaving, Marks, h1, lifecycle, soon};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporterBuilder, SdkTracerProvider, SpanData};
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Clone)]
struct Shop {
    marks: Marks,
    lifecycle: Lifecycle,
}

#[durable_write]
async fn pay(State(shop): State<Shop>) {
    shop.marks.set("pay begun");
    shop.marks.until("pay").await;
    info_span!("charge").in_scope(|| ());
    let marks = shop.marks.clone();
    drop(shop.lifecycle.track(async move {
        marks.until("mail").await;
        info_span!("mail").in_scope(|| ());
    }));
}

#[tokio::test]
async fn spans_of_detached_work_and_of_tracked_tasks_are_children_of_the_span_of_the_request() {
    let exporter = InMemorySpanExporterBuilder::new().build();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // The runtime has one thread, which is this one.
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let spans = || exporter.get_finished_spans().unwrap();
    let has_ended = |name: &str| spans().iter().any(|span| span.name == name);

    let marks = Marks::default();
    let lifecycle = lifecycle().build().unwrap();
    let shop = Shop { marks: marks.clone(), lifecycle: lifecycle.clone() };
    let app = axum::Router::new().route("/pay", post(pay)).with_state(shop).layer(
        axum::middleware::from_fn(async |request, next: Next| {
            next.run(request).instrument(info_span!("request")).await
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    let served = tokio::spawn(serve.into_future());

    let client = h1::send(at, "POST", "/pay").await;
    marks.until("pay begun").await;
    drop(client.leave(Leaving::Reset).await);
    soon("the detached work", async {
        while !lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    marks.set("pay");
    soon("the charge", async {
        while !has_ended("charge") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!has_ended("request"), "the tracked task is within it");
    marks.set("mail");
    lifecycle.shutdown();
    drop(soon("the end", served).await.unwrap().unwrap());

    let spans = spans();
    let span = |name: &str| -> &SpanData { spans.iter().find(|span| span.name == name).unwrap() };
    let request = span("request");
    for child in ["charge", "mail"].map(span) {
        assert_eq!(child.parent_span_id, request.span_context.span_id());
        assert_eq!(child.span_context.trace_id(), request.span_context.trace_id());
        assert!(child.end_time <= request.end_time);
    }
}
