//! The bodies of the handlers, the same under every policy.

use std::{
    future::{pending, poll_fn},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Instant,
};

use tokio::sync::{
    Notify,
    oneshot::{Sender, channel},
};

/// A body.
pub trait Work: 'static {
    /// Runs the body once.
    fn work() -> impl Future<Output = &'static str> + Send;
}

/// Returns `Pending` once, as a query does.
#[derive(Debug)]
pub enum Once {}

impl Work for Once {
    async fn work() -> &'static str {
        let mut polled = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready("ok");
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

/// The number of bodies of [`Forever`] and [`Gated`] that have begun to wait in this process.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Returns how many bodies have begun to wait so far.
pub fn waiting() -> usize {
    WAITING.load(Ordering::SeqCst)
}

/// Waits until that many bodies have begun to wait.
pub async fn until_waiting(bodies: usize) {
    while waiting() < bodies {
        tokio::task::yield_now().await;
    }
}

/// Is pending until it is dropped, and is counted then.
#[derive(Debug)]
pub enum Forever {}

impl Work for Forever {
    async fn work() -> &'static str {
        struct Dropped;

        impl Drop for Dropped {
            fn drop(&mut self) {
                ended();
            }
        }

        let _dropped = Dropped;
        WAITING.fetch_add(1, Ordering::SeqCst);
        pending().await
    }
}

/// Is pending until the gate opens, and is counted when it has ended.
#[derive(Debug)]
pub enum Gated {}

static GATE: Notify = Notify::const_new();
/// The number of bodies that have not ended.
static LEFT: AtomicUsize = AtomicUsize::new(0);
static LAST: Mutex<Option<Sender<Instant>>> = Mutex::new(None);

/// Expects that many bodies of [`Forever`] or [`Gated`] to end from here on, and returns the time
/// of the last end. Only one such crowd may exist at a time.
///
/// # Panics
///
/// If the bodies do not end.
pub fn expect(bodies: usize) -> impl Future<Output = Instant> + Send {
    let (last, ended) = channel();
    LEFT.store(bodies, Ordering::SeqCst);
    *LAST.lock().expect("nothing panics while it is held") = Some(last);
    async { ended.await.expect("the last body says so") }
}

fn ended() {
    // Bodies that no crowd expects are not counted.
    let left = LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if left == Ok(1) {
        let last = LAST.lock().expect("nothing panics while it is held").take();
        last.map(|last| last.send(Instant::now()));
    }
}

impl Gated {
    /// Opens the gate for all waiting bodies.
    pub fn open() {
        GATE.notify_waiters();
    }
}

impl Work for Gated {
    async fn work() -> &'static str {
        let open = GATE.notified();
        WAITING.fetch_add(1, Ordering::SeqCst);
        open.await;
        ended();
        "ok"
    }
}
