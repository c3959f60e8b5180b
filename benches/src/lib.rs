//! The services that the benchmark and the allocation test measure.

mod apps;

use std::time::{Duration, Instant};

pub use apps::{App, WAYS, app};
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tower::{Service, ServiceExt};

const WARM_UP: u64 = 20;
const TASKS: u64 = 16;

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

/// Calls the service for `way` from many tasks on two threads; gives how long that took.
///
/// # Panics
///
/// As [`run`].
pub fn run_on_two_threads(way: &str, calls: u64) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        let one = app(way);
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for _ in 0..TASKS {
            match &one {
                App::Plain(app) => tasks.spawn(call(app.clone(), calls / TASKS)),
                App::Linked(app) => tasks.spawn(call(app.clone(), calls / TASKS)),
            };
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no call fails");
        }
        began.elapsed()
    })
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
