//! Requests that continue after an upgrade, such as `WebSockets`.
//!
//! A `stream` request and its token live until the upgraded connection closes. Over HTTP/1 a task of the
//! connection watches for that. Over HTTP/2 hyper spawns a task for the upgraded stream, and [`UpgradeTask`] keeps
//! the request in that task.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use super::response_watch::end_stream;
use crate::{
    cancellation::Signal,
    cause::Cause,
    connection::{OnConnection, Task, peer_left},
    request::PooledRequest,
    service::{InFlightWork, Phase, WorkKind, spawn_boxed},
};

/// A request that continues in an upgraded connection.
pub(crate) struct Upgraded {
    request: PooledRequest,
    on: OnConnection,
    ended: bool,
}

thread_local! {
    /// The upgraded request whose task hyper spawns later within the same poll.
    static COMING: RefCell<Option<Upgraded>> = const { RefCell::new(None) };
    /// Whether `COMING` is set. A `Cell<bool>` has no destructor, so reading it costs little.
    static COMES: Cell<bool> = const { Cell::new(false) };
}

impl Upgraded {
    /// Takes the upgraded request whose task hyper spawns now.
    #[inline]
    fn take_coming() -> Option<Self> {
        COMES.replace(false).then(|| COMING.take()).flatten()
    }

    /// Keeps `request`, whose response upgrades its connection, until that connection closes.
    pub(crate) fn follow(request: PooledRequest, on: OnConnection, http1: bool) {
        let mut upgraded = Self { request, on, ended: false };
        // The alarm would keep the connection's task alive as long as the upgraded connection.
        upgraded.request.alarm = None;
        if !http1 {
            COMING.set(Some(upgraded));
            COMES.set(true);
            return;
        }
        let connection = upgraded.on.connection().clone();
        let half_close = upgraded.request.life().allows_half_close();
        let mut watch = Box::pin(peer_left(connection.clone(), half_close));
        let followed = poll_fn(move |cx| {
            upgraded.hear();
            if upgraded.on.connection().is_stream_gone() {
                upgraded.finish();
                return Poll::Ready(());
            }
            if !upgraded.ended && watch.as_mut().poll(cx).is_ready() {
                upgraded.end(Cause::ClientDisconnected);
            }
            Poll::Pending
        });
        drop(spawn_boxed(&Handle::current(), Box::pin(Task::new(followed, connection))));
    }

    /// Ends the stream once the service is closing.
    fn hear(&mut self) {
        if self.request.life().phase() >= Phase::Closing {
            self.end(Cause::ShuttingDown);
        }
    }

    fn end(&mut self, cause: Cause) {
        if !std::mem::replace(&mut self.ended, true) {
            end_stream(&mut self.request, cause);
        }
    }

    /// Fires the token after the HTTP/2 stream has ended. hyper does not say which side ended it.
    fn fire(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            let (_, signal) = self.request.settle(Cause::ClientDisconnected);
            signal.into_iter().for_each(Signal::fire);
        }
    }

    /// Ends the request without a cause, because the handler has dropped the upgraded connection.
    fn finish(&mut self) {
        self.ended = true;
        self.request.finish();
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        let life = self.request.life().clone();
        if life.has_ended() {
            let (policy, since) = (self.request.policy(), self.request.arrival());
            self.on.left(InFlightWork::cut(policy, WorkKind::Upgraded, since));
        }
        self.end(life.hung_up_by());
    }
}

pin_project_lite::pin_project! {
    /// A task that hyper spawned, with the upgraded request whose stream it drives.
    pub(crate) struct UpgradeTask<F> {
        #[pin]
        future: F,
        upgraded: Option<Upgraded>,
    }
}

impl<F> UpgradeTask<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future, upgraded: Upgraded::take_coming() }
    }
}

impl<F: Future> Future for UpgradeTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if let Some(upgraded) = this.upgraded {
            upgraded.hear();
        }
        let polled = this.future.poll(cx);
        // hyper has spawned no task for this one, so the upgrade did not happen.
        drop(Upgraded::take_coming());
        polled.map(|_| {
            if let Some(upgraded) = this.upgraded {
                upgraded.fire();
            }
        })
    }
}
