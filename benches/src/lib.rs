//! The services that the benchmark and the allocation test measure.

mod apps;

pub use apps::{App, WAYS, app};
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};

const WARM_UP: u64 = 20;

/// Calls the service for `way` that many times, after a warm-up.
///
/// # Panics
///
/// If `way` is none of [`WAYS`], or an answer is not 200.
pub fn run(way: &str, calls: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        match app(way) {
            App::Plain(app) => call(app, WARM_UP + calls).await,
            App::Linked(app) => call(app, WARM_UP + calls).await,
        }
    });
}

async fn call<S, B>(mut app: S, calls: u64)
where
    S: Service<Request<Body>, Response = Response<B>, Error = std::convert::Infallible>,
    B: http_body::Body,
{
    for _ in 0..calls {
        let request = Request::post("/x").body(Body::empty()).expect("the request is sound");
        let Ok(service) = app.ready().await;
        let Ok(response) = service.call(request).await;
        assert_eq!(response.status(), 200);
        // A response that is dropped unread is a client that left, and costs what that costs.
        assert!(response.into_body().collect().await.is_ok());
    }
}
