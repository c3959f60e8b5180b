//! Many pending requests.

use std::{
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::body::Body;
use http::{Request, Response};
use tokio::sync::Notify;
use tower::{Service, ServiceExt};

use crate::{
    calls::request,
    work::{until_waiting, waiting},
};

/// Pending requests.
pub(super) struct Crowd {
    left: AtomicUsize,
    last: OnceLock<Instant>,
    gone: Notify,
}

impl Crowd {
    /// Starts `requests` requests to `app`, each in a task. All of them are pending.
    pub(super) async fn of<S, B>(app: &S, requests: usize) -> Arc<Self>
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Send + 'static,
    {
        let left = AtomicUsize::new(requests);
        let crowd = Arc::new(Self { left, last: OnceLock::new(), gone: Notify::new() });
        let all = waiting() + requests;
        for _ in 0..requests {
            let (call, crowd) = (app.clone().oneshot(request()), crowd.clone());
            tokio::spawn(async move {
                let Ok(response) = call.await;
                assert_eq!(response.status(), 503);
                crowd.leave();
            });
        }
        until_waiting(all).await;
        crowd
    }

    fn leave(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.last.get_or_init(Instant::now);
            self.gone.notify_one();
        }
    }

    /// Waits for the last response, and returns its time.
    pub(super) async fn gone(&self) -> Instant {
        self.gone.notified().await;
        *self.last.get_or_init(Instant::now)
    }
}
