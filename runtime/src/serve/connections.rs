//! The open connections and the tasks that run on them.
//!
//! A connection is here until its last task is gone: the task of the connection itself, and over
//! HTTP/2 one for each stream. Each task leaves its waker, once, so that an advance of the phase
//! reaches it; a request pays nothing for that.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use slab::Slab;
use tokio::sync::Notify;

use crate::lifecycle::{Life, Phase};

/// All connections of a lifecycle.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Slab<Weak<Connection>>>,
    len: AtomicUsize,
    gone: Notify,
}

impl Connections {
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    /// Wakes every task of every connection.
    pub(crate) fn wake_all(&self) {
        let open: Vec<_> = lock(&self.open).iter().filter_map(|(_, weak)| weak.upgrade()).collect();
        for connection in open {
            // Outside the lock: a waker may run a destructor that comes back here.
            let wakers: Vec<_> =
                lock(&connection.wakers).iter().map(|(_, waker)| waker.clone()).collect();
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Waits until a connection is gone, if one is open.
    pub(super) async fn one_gone(&self) {
        let mut gone = std::pin::pin!(self.gone.notified());
        gone.as_mut().enable();
        if !self.is_empty() {
            gone.await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    life: Arc<Life>,
    key: usize,
    wakers: Mutex<Slab<Waker>>,
}

impl Connection {
    pub(super) fn open(life: Arc<Life>) -> Arc<Self> {
        Arc::new_cyclic(|weak| {
            let key = lock(&life.connections.open).insert(weak.clone());
            life.connections.len.fetch_add(1, Ordering::SeqCst);
            Self { life, key, wakers: Mutex::default() }
        })
    }

    pub(super) fn phase(&self) -> Phase {
        self.life.phase()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.life.connections.open).try_remove(self.key);
        self.life.connections.len.fetch_sub(1, Ordering::SeqCst);
        self.life.connections.gone.notify_waiters();
        self.life.note_progress();
    }
}

pin_project_lite::pin_project! {
    /// A task of a connection: woken when the phase advances, dropped when the grace is over.
    pub(super) struct Task<F> {
        #[pin]
        future: Option<F>,
        connection: Arc<Connection>,
        waker: Option<usize>,
    }

    impl<F> PinnedDrop for Task<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(key) = this.waker.take() {
                lock(&this.connection.wakers).try_remove(key);
            }
        }
    }
}

impl<F> Task<F> {
    pub(super) const fn new(future: F, connection: Arc<Connection>) -> Self {
        Self { future: Some(future), connection, waker: None }
    }
}

impl<F: Future> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        // A spawned task keeps its waker. It is left before the phase is looked at.
        if this.waker.is_none() {
            *this.waker = Some(lock(&this.connection.wakers).insert(cx.waker().clone()));
        }
        if this.connection.phase() == Phase::Ended {
            this.future.set(None);
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        if future.poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.future.set(None);
        Poll::Ready(())
    }
}
