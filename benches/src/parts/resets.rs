//! Many requests past their point of no return whose clients leave at once.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{Request, Response};
use tokio::task::unconstrained;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use super::{Scale, command, median, row};
use crate::{
    apps::{by_hand, governed, lifecycle, served},
    calls::{on_workers, request},
    results::Table,
    work::{self, Gated, until_waiting, waiting},
};

#[expect(clippy::unnecessary_wraps, reason = "as every part")]
pub(super) fn run(scale: &Scale) -> Result<Table, String> {
    let (mut after, mut whole, mut spawned) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let (theirs, ours) = (of_spawned(scale.resets), of_ours(scale.resets));
        after.push(ours.resets.as_secs_f64() / theirs.resets.as_secs_f64());
        whole.push(ours.whole.as_secs_f64() / theirs.whole.as_secs_f64());
        spawned.push(theirs.resets.as_secs_f64());
    }
    eprintln!("resets of spawned work: {:.2} ms", median(spawned) * 1e3);
    Ok(Table {
        id: "resets".into(),
        title: format!("{} resets at once, past the point of no return", scale.resets),
        command: command("resets"),
        columns: vec![
            "from the resets to the last body's end, spawned = 1".into(),
            "from the first request to the last body's end, spawned = 1".into(),
        ],
        rows: vec![
            row("by hand: `TaskTracker::spawn`, up front", [Some(1.0), Some(1.0)]),
            row("`#[durable_write]`", [Some(median(after)), Some(median(whole))]),
        ],
        goals: Vec::new(),
        notes: vec![format!(
            "Medians of {} interleaved rounds, each one's ratio. In each of them every body that had \
             begun has ended, and the lifecycle's report counts it as followed through.",
            scale.rounds
        )],
    })
}

struct Times {
    resets: Duration,
    whole: Duration,
}

fn of_spawned(requests: usize) -> Times {
    let root = CancellationToken::new();
    let app = by_hand::router::<Gated>("spawn_idiom", &root).expect("the way is by hand");
    on_workers(2).block_on(reset(app, requests))
}

fn of_ours(requests: usize) -> Times {
    let lifecycle = lifecycle();
    let router = governed::router::<Gated>("durable_write");
    on_workers(2).block_on(async {
        let times = reset(served(&lifecycle, router), requests).await;
        lifecycle.shutdown();
        let followed_through = lifecycle.drained().await.durable.followed_through;
        assert_eq!(followed_through, requests as u64, "a body was lost");
        times
    })
}

/// Begins the requests, drops them all, lets their bodies go on and waits for the last one.
async fn reset<S, B>(app: S, requests: usize) -> Times
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    let connection = unconstrained(async move {
        let all = waiting() + requests;
        let ended = work::expect(requests);
        let began = Instant::now();
        let mut calls = Vec::with_capacity(requests);
        for _ in 0..requests {
            let mut call = Box::pin(app.clone().oneshot(request()));
            let call_mut: Pin<&mut _> = call.as_mut();
            assert!(call_mut.poll(&mut Context::from_waker(Waker::noop())).is_pending());
            calls.push(call);
        }
        until_waiting(all).await;
        let dropped = Instant::now();
        drop(calls);
        Gated::open();
        let last = ended.await;
        Times { resets: last - dropped, whole: last - began }
    });
    tokio::spawn(connection).await.expect("it does not panic")
}
