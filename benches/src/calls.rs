//! In-process calls of a service.

use std::{
    convert::Infallible,
    ops::Range,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::{runtime::Runtime, task::JoinSet};
use tower::{Service, ServiceExt};

use crate::{
    apps::{App, app, connected, keyed::keys_of},
    work::{Forever, Once, until_waiting, waiting},
};

const WARM_UP: u64 = 20;
const TASKS: u64 = 16;

/// Calls the service for `way` `calls` times within `measure`, on one thread and after a warm-up.
///
/// # Panics
///
/// If there is no such way, or a response is not 200.
pub fn calls<T>(way: &str, calls: u64, measure: impl FnOnce(&mut dyn FnMut()) -> T) -> T {
    let runtime = on_this_thread();
    // A connection is created within its runtime, because its timers belong there.
    let made = runtime.block_on(async { app::<Once>(way) });
    match made {
        App::Plain(mut app) => {
            runtime.block_on(call(&mut app, way, 0..WARM_UP));
            let calls = WARM_UP..WARM_UP + calls;
            measure(&mut || runtime.block_on(call(&mut app, way, calls.clone())))
        }
        App::Linked(mut app) => {
            runtime.block_on(call(&mut app, way, 0..WARM_UP));
            let calls = WARM_UP..WARM_UP + calls;
            measure(&mut || runtime.block_on(call(&mut app, way, calls.clone())))
        }
    }
}

/// Begins that many requests of `way` within `measure`, each in a task. Their bodies wait for ever.
///
/// # Panics
///
/// If there is no such way.
pub fn pending<T>(way: &str, requests: usize, measure: impl FnOnce(&mut dyn FnMut()) -> T) -> T {
    let runtime = on_this_thread();
    let made = runtime.block_on(async { app::<Forever>(way) });
    match made {
        App::Plain(app) => measure(&mut || runtime.block_on(begin(&app, way, requests))),
        App::Linked(app) => measure(&mut || runtime.block_on(begin(&app, way, requests))),
    }
}

async fn begin<S, B>(app: &S, way: &str, requests: usize)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    let all = waiting() + requests;
    for number in 0..requests {
        drop(tokio::spawn(app.clone().oneshot(request_of(way, number as u64))));
    }
    until_waiting(all).await;
}

/// Calls the service for `way`, which has no keys, from many tasks on `threads` threads. Returns the time.
///
/// # Panics
///
/// As [`calls`].
pub fn on_threads(threads: usize, way: &'static str, calls: u64) -> Duration {
    on_workers(threads).block_on(async {
        let one = app::<Once>(way);
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for _ in 0..TASKS {
            match &one {
                App::Plain(app) => tasks.spawn(call_owned(app.clone(), way, calls / TASKS)),
                App::Linked(app) => {
                    let stream = connected().expect("there is a loopback");
                    let app = app.on_another(stream).expect("it is connected");
                    tasks.spawn(call_owned(app, way, calls / TASKS))
                }
            };
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no call fails");
        }
        began.elapsed()
    })
}

/// Returns a runtime on the current thread.
pub(crate) fn on_this_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime can be built")
}

/// Returns a runtime with `threads` worker threads.
pub(crate) fn on_workers(threads: usize) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().expect("a runtime can be built")
}

/// Returns the request with this number that the service of `way` gets.
fn request_of(way: &str, number: u64) -> Request<Body> {
    let mut request = request();
    if let Some(own) = keys_of(way) {
        let key = HeaderValue::from(if own { number } else { 0 });
        request.headers_mut().insert("idempotency-key", key);
    }
    request
}

/// Returns the request that every service without keys gets.
pub(crate) fn request() -> Request<Body> {
    Request::post("/x").body(Body::empty()).expect("the request is sound")
}

async fn call_owned<S, B>(mut app: S, way: &'static str, calls: u64)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    call(&mut app, way, 0..calls).await;
}

async fn call<S, B>(app: &mut S, way: &str, calls: Range<u64>)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    for number in calls {
        let Ok(service) = app.ready().await;
        let Ok(response) = service.call(request_of(way, number)).await;
        assert_eq!(response.status(), 200);
        // Dropping an unread response would count as a disconnect, and would cost as much as one.
        assert!(response.into_body().collect().await.is_ok());
    }
}
