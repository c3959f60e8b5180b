//! Calls of a service, in process.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::{runtime::Runtime, task::JoinSet};
use tower::{Service, ServiceExt};

use crate::{
    apps::{App, app, connected},
    work::{Forever, Once, until_waiting, waiting},
};

const WARM_UP: u64 = 20;
const TASKS: u64 = 16;

/// Calls the service for `way` that many times within `measure`, on one thread and after a warm-up.
///
/// # Panics
///
/// If there is no such way, or an answer is not 200.
pub fn calls<T>(way: &str, calls: u64, measure: impl FnOnce(&mut dyn FnMut()) -> T) -> T {
    let runtime = on_this_thread();
    // As a connection is made where it is served: the timers that it keeps belong there.
    let made = runtime.block_on(async { app::<Once>(way) });
    match made {
        App::Plain(mut app) => {
            runtime.block_on(call(&mut app, WARM_UP));
            measure(&mut || runtime.block_on(call(&mut app, calls)))
        }
        App::Linked(mut app) => {
            runtime.block_on(call(&mut app, WARM_UP));
            measure(&mut || runtime.block_on(call(&mut app, calls)))
        }
    }
}

/// Within `measure`, begins that many requests of `way` whose bodies wait for ever, a task each, as
/// a server has them.
///
/// # Panics
///
/// If there is no such way.
pub fn pending<T>(way: &str, requests: usize, measure: impl FnOnce(&mut dyn FnMut()) -> T) -> T {
    let runtime = on_this_thread();
    let made = runtime.block_on(async { app::<Forever>(way) });
    match made {
        App::Plain(app) => measure(&mut || runtime.block_on(begin(&app, requests))),
        App::Linked(app) => measure(&mut || runtime.block_on(begin(&app, requests))),
    }
}

async fn begin<S, B>(app: &S, requests: usize)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    let all = waiting() + requests;
    for _ in 0..requests {
        drop(tokio::spawn(app.clone().oneshot(request())));
    }
    until_waiting(all).await;
}

/// Calls the service for `way` from many tasks on so many threads; gives how long that took.
///
/// # Panics
///
/// As [`calls`].
pub fn on_threads(threads: usize, way: &str, calls: u64) -> Duration {
    on_workers(threads).block_on(async {
        let one = app::<Once>(way);
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for _ in 0..TASKS {
            match &one {
                App::Plain(app) => tasks.spawn(call_owned(app.clone(), calls / TASKS)),
                App::Linked(app) => {
                    let stream = connected().expect("there is a loopback");
                    let app = app.on_another(stream).expect("it is connected");
                    tasks.spawn(call_owned(app, calls / TASKS))
                }
            };
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no call fails");
        }
        began.elapsed()
    })
}

/// A runtime on the thread that asks.
pub(crate) fn on_this_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime can be built")
}

/// A runtime on so many threads of its own.
pub(crate) fn on_workers(threads: usize) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().expect("a runtime can be built")
}

/// The request that everybody gets.
pub(crate) fn request() -> Request<Body> {
    Request::post("/x").body(Body::empty()).expect("the request is sound")
}

async fn call_owned<S, B>(mut app: S, calls: u64)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    call(&mut app, calls).await;
}

async fn call<S, B>(app: &mut S, calls: u64)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    for _ in 0..calls {
        let Ok(service) = app.ready().await;
        let Ok(response) = service.call(request()).await;
        assert_eq!(response.status(), 200);
        // A response that is dropped unread is a client that left, and costs what that costs.
        assert!(response.into_body().collect().await.is_ok());
    }
}
