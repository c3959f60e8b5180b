//! How long it takes until all are answered, on two threads.

use std::{
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Wake, Waker},
    time::{Duration, Instant},
};

use super::{by_token, crowd::Crowd, layered};
use crate::calls::on_workers;

/// Notes when a token fires, within the call that fires it.
#[derive(Default)]
struct Stamp(OnceLock<Instant>);

impl Wake for Stamp {
    fn wake(self: Arc<Self>) {
        self.0.get_or_init(Instant::now);
    }
}

/// From `shutdown()`, and from *stopping*, to the last answer.
pub(super) fn of_ours(requests: usize, read_grace: Duration) -> (Duration, Duration) {
    let (lifecycle, app) = layered(|builder| builder.read_grace(read_grace));
    on_workers(2).block_on(async {
        let crowd = Crowd::of(&app, requests).await;
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
        let last = crowd.gone().await;
        let began = began.await.expect("it does not panic");
        (last - began, last - *stopping.0.get().expect("it fired before it ended a read"))
    })
}

pub(super) fn of_children(requests: usize) -> Duration {
    let (root, app) = by_token();
    on_workers(2).block_on(async {
        let crowd = Crowd::of(&app, requests).await;
        let began = tokio::spawn(async move {
            let began = Instant::now();
            root.cancel();
            began
        });
        let last = crowd.gone().await;
        last - began.await.expect("it does not panic")
    })
}
