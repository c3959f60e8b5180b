//! The times until all requests are reached and until all are answered, on two threads.

use std::{
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Wake, Waker},
    time::{Duration, Instant},
};

use super::{by_token, crowd::Crowd, layered};
use crate::{calls::on_workers, work::expect};

/// Records when a token fires, within the call that fires it.
#[derive(Default)]
struct Stamp(OnceLock<Instant>);

impl Wake for Stamp {
    fn wake(self: Arc<Self>) {
        self.0.get_or_init(Instant::now);
    }
}

/// The times of one stop.
pub(super) struct Times {
    /// From *stopping* until the last body is dropped.
    pub(super) reached: Duration,
    /// From then to the last response.
    pub(super) answered: Duration,
    /// From `shutdown()` to the last response.
    pub(super) in_all: Duration,
}

pub(super) fn of_ours(requests: usize, read_grace: Duration) -> Times {
    let (lifecycle, app) = layered(|builder| builder.read_grace(read_grace));
    on_workers(2).block_on(async {
        let crowd = Crowd::of(&app, requests).await;
        let reached = expect(requests);
        let stopping = Arc::new(Stamp::default());
        let token = lifecycle.stopping().token();
        let mut fired = pin!(token.cancelled());
        let waker = Waker::from(stopping.clone());
        assert!(fired.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let began = tokio::spawn(async move {
            let began = Instant::now();
            lifecycle.shutdown();
            began
        });
        let (reached, last) = (reached.await, crowd.gone().await);
        let began = began.await.expect("it does not panic");
        let stopping = *stopping.0.get().expect("it fired before it ended a read");
        Times { reached: reached - stopping, answered: last - stopping, in_all: last - began }
    })
}

pub(super) fn of_children(requests: usize) -> Times {
    let (root, app) = by_token();
    on_workers(2).block_on(async {
        let crowd = Crowd::of(&app, requests).await;
        let reached = expect(requests);
        let began = tokio::spawn(async move {
            let began = Instant::now();
            root.cancel();
            began
        });
        let (reached, last) = (reached.await, crowd.gone().await);
        let began = began.await.expect("it does not panic");
        Times { reached: reached - began, answered: last - began, in_all: last - began }
    })
}
