//! The tasks of a connection: its own, and over HTTP/2 one for each stream.
//!
//! Each task registers its waker with the connection once, so that an advance of the phase wakes it at no cost for
//! a request.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Connection, StreamWait,
    body_end::{UnpolledEnd, cutting},
};
use crate::{
    escaped::Escaped,
    repeated::Event,
    service::{OpenConnection, Phase},
};

pin_project_lite::pin_project! {
    /// A task of a connection: woken when the phase advances, dropped when the grace is over.
    pub(crate) struct Task<F> {
        #[pin]
        future: Option<F>,
        connection: Arc<Connection>,
        waker: Option<usize>,
        of_stream: bool,
        wait: StreamWait,
        end: UnpolledEnd,
    }

    impl<F> PinnedDrop for Task<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(key) = this.waker.take() {
                this.connection.wakers().leave(key);
            }
            if *this.of_stream {
                this.future.set(None);
                this.wait.end(this.connection.stall());
                this.connection.open_streams().task_ended();
                // The connection may end with its last stream, but its last poll still counted this one.
                if this.connection.phase() >= Phase::Closing {
                    this.connection.wake();
                }
            }
        }
    }
}

impl<F> Task<F> {
    pub(crate) fn new(future: F, connection: Arc<Connection>) -> Self {
        Self::with(future, connection, false)
    }

    /// The task of a stream of HTTP/2.
    pub(crate) fn of_stream(future: F, connection: Arc<Connection>) -> Self {
        connection.open_streams().task_began();
        Self::with(future, connection, true)
    }

    fn with(future: F, connection: Arc<Connection>, of_stream: bool) -> Self {
        let (wait, end) = (StreamWait::default(), UnpolledEnd::default());
        Self { future: Some(future), connection, waker: None, of_stream, wait, end }
    }
}

impl<F: Future> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // A spawned task keeps its waker. It is registered before the phase is read.
        if this.waker.is_none() {
            *this.waker = Some(this.connection.wakers().enter(cx));
        }
        if this.connection.phase() == Phase::Ended {
            this.future.set(None);
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        if !*this.of_stream {
            let polled = future.poll(cx).map(drop);
            if polled.is_ready() {
                this.future.set(None);
            }
            return polled;
        }
        StreamWait::begin_poll();
        this.end.begin_poll();
        if future.poll(cx).is_pending() {
            let (connection, is_unpolled) = (this.connection, StreamWait::is_untouched());
            if let Some(cause) = this.end.is_due(is_unpolled, connection.phase(), cx) {
                cutting(cause, || this.future.set(None));
                return Poll::Ready(());
            }
            if !this.wait.is_over(connection.stall()) {
                return Poll::Pending;
            }
            let peer = connection.peer().to_string();
            connection.life().events.of(Event::StreamStalled).note(move |count| {
                tracing::debug!(
                    target: "followthrough",
                    peer = %Escaped(peer),
                    count,
                    "the peer took none of the waiting bytes of an answer, resetting its stream"
                );
            });
        }
        this.future.set(None);
        Poll::Ready(())
    }
}
