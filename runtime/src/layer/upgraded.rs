//! Requests whose connection somebody took over, such as a WebSocket.
//!
//! The response's head ends an ordinary request; a governed stream goes on in what it upgraded
//! to, and so does its token. Over HTTP/1 a task of the connection looks after it. Over HTTP/2
//! hyper runs one for the upgraded stream, and that one carries the request.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use super::response_watch::end_stream;
use crate::{
    cancellation::Signal,
    cause::Cause,
    connection::{OnConnection, Task, peer_left},
    request::PooledRequest,
    service::{InFlightWork, Phase, WorkKind},
};

/// A request that goes on in an upgraded connection.
pub(crate) struct Upgraded {
    request: PooledRequest,
    on: OnConnection,
    ended: bool,
}

thread_local! {
    /// What hyper is about to spawn the task of, within the poll that made it.
    static COMING: RefCell<Option<Upgraded>> = const { RefCell::new(None) };
    /// Whether something is: without a destructor, so that whoever asks in vain asks for little.
    static COMES: Cell<bool> = const { Cell::new(false) };
}

impl Upgraded {
    /// The one whose task is about to be spawned.
    #[inline]
    fn take_coming() -> Option<Self> {
        COMES.replace(false).then(|| COMING.take()).flatten()
    }

    /// Looks after `request`, whose answer upgrades its connection.
    pub(crate) fn follow(request: PooledRequest, on: OnConnection, http1: bool) {
        let mut upgraded = Self { request, on, ended: false };
        // It would hold the connection's task for as long as the upgraded connection lives.
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
        drop(tokio::spawn(Task::new(followed, connection)));
    }

    /// Listens for the end of the service.
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

    /// Its stream is over, by whom is not known.
    fn fire(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            let (_, signal) = self.request.settle(Cause::ClientDisconnected);
            signal.into_iter().for_each(Signal::fire);
        }
    }

    /// Whoever took the connection has let go of it.
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
    /// A task that hyper spawned, with the upgraded request that it is the stream of.
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
        // An upgrade that did not come about.
        drop(Upgraded::take_coming());
        polled.map(|_| {
            if let Some(upgraded) = this.upgraded {
                upgraded.fire();
            }
        })
    }
}
