//! What a handler's body does, the same under every policy.

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
    /// Runs it once.
    fn work() -> impl Future<Output = &'static str> + Send;
}

/// Pending once, as a query that has to wait is.
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

/// How many bodies of [`Forever`] and [`Gated`] have begun to wait in this process.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// How many bodies have begun to wait so far.
pub fn waiting() -> usize {
    WAITING.load(Ordering::SeqCst)
}

/// Waits until so many bodies have begun to wait.
pub async fn until_waiting(bodies: usize) {
    while waiting() < bodies {
        tokio::task::yield_now().await;
    }
}

/// Pending until it is dropped, and counted then.
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

/// Pending until the gate opens, and counted when it has ended.
#[derive(Debug)]
pub enum Gated {}

static GATE: Notify = Notify::const_new();
/// How many bodies have still to end.
static LEFT: AtomicUsize = AtomicUsize::new(0);
static LAST: Mutex<Option<Sender<Instant>>> = Mutex::new(None);

/// From here on, so many bodies of [`Forever`] or [`Gated`] will end; gives when the last one did. One such
/// crowd at a time.
///
/// # Panics
///
/// If the bodies are lost.
pub fn expect(bodies: usize) -> impl Future<Output = Instant> + Send {
    let (last, ended) = channel();
    LEFT.store(bodies, Ordering::SeqCst);
    *LAST.lock().expect("nothing panics while it is held") = Some(last);
    async { ended.await.expect("the last body says so") }
}

fn ended() {
    // Those that nobody expects are not counted down.
    let left = LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if left == Ok(1) {
        let last = LAST.lock().expect("nothing panics while it is held").take();
        last.map(|last| last.send(Instant::now()));
    }
}

impl Gated {
    /// Lets every body that waits go on.
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
