//! How long another thread is blocked that needs a lock which stopping takes.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use followthrough::layer::LifecycleService;
use http::Request;
use tower::{Layer, Service};

use super::{by_token, crowd::Crowd, layered};
use crate::{
    apps::governed,
    calls::{on_workers, request},
    work::Forever,
};

/// Repeats `operation` on a thread of its own until told to stop. Returns its longest time.
fn stalls(
    until: Arc<AtomicBool>,
    mut operation: impl FnMut() -> Duration + Send + 'static,
) -> thread::JoinHandle<Duration> {
    thread::spawn(move || {
        let mut longest = Duration::ZERO;
        while !until.load(Ordering::SeqCst) {
            longest = longest.max(operation());
        }
        longest
    })
}

type Call = Pin<Box<<LifecycleService<Router> as Service<Request<Body>>>::Future>>;

fn poll(call: &mut Call) {
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// Returns the longest time that a request is blocked while the others are stopped. One request is
/// polled again and again, and its wake-up is behind the lock that stopping takes. Another arrives,
/// waits and leaves.
pub(super) fn stall_of_ours(requests: usize, stops: bool) -> Duration {
    let (lifecycle, app) = layered(|builder| builder.read_grace(Duration::ZERO));
    // A handler without a policy, so that no signal ends it.
    let mut pending = lifecycle.layer().layer(governed::router::<Forever>("linked_bare"));
    let done = Arc::new(AtomicBool::new(false));
    let longest = on_workers(1).block_on(async {
        let crowd = Crowd::of(&app, requests).await;
        // The same thread received the other requests, so this one waits in the same shard.
        let mut received = pending.clone();
        #[expect(clippy::async_yields_async, reason = "it is to be polled by another thread")]
        let beside = tokio::spawn(async move { Box::pin(received.call(request())) });
        let mut beside = beside.await.expect("it does not panic");
        poll(&mut beside);
        let stalls = stalls(done.clone(), move || {
            let request = request();
            let began = Instant::now();
            poll(&mut beside);
            let mut newcomer = Box::pin(pending.call(request));
            poll(&mut newcomer);
            drop(newcomer);
            began.elapsed()
        });
        if stops {
            tokio::spawn(async move { lifecycle.shutdown() });
            crowd.gone().await;
        } else {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        done.store(true, Ordering::SeqCst);
        stalls
    });
    longest.join().expect("it does not panic")
}

/// Returns the longest time that the creation of a child is blocked while the others are cancelled.
pub(super) fn stall_of_children(requests: usize) -> Duration {
    let (root, app) = by_token();
    let done = Arc::new(AtomicBool::new(false));
    let longest = on_workers(1).block_on(async {
        let crowd = Crowd::of(&app, requests).await;
        let parent = root.clone();
        let stalls = stalls(done.clone(), move || {
            let began = Instant::now();
            drop(parent.child_token());
            began.elapsed()
        });
        tokio::spawn(async move { root.cancel() });
        crowd.gone().await;
        done.store(true, Ordering::SeqCst);
        stalls
    });
    longest.join().expect("it does not panic")
}
