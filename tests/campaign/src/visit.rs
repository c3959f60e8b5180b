//! A request, as its handler and its driver see it: where it is, and how a fault takes effect
//! exactly there.
//!
//! Every statement of a handler goes through [`Visit::run`], which counts how often it suspends. At
//! the chosen suspension `run` holds the request: it tells the driver, and polls the statement only
//! after the driver releases it. A drop of the request meanwhile drops it there.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

use crate::{
    database::{Db, row},
    plan::{Moment, Point},
};

/// The message of the campaign's own panics, which are hidden from the output.
pub(crate) const ON_PURPOSE: &str = "the campaign panics on purpose";

/// The events of a request.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "tests wait for each of these events")]
pub(crate) struct Seen {
    /// The stage that was reached last, and its name.
    pub(crate) stage: u32,
    pub(crate) label: &'static str,
    /// The extractor of the upload waits for the second half.
    pub(crate) uploads: bool,
    /// All extractors have run.
    pub(crate) extracted: bool,
    /// The body was polled.
    pub(crate) entered: bool,
    /// The body is past its point of no return.
    pub(crate) begun: bool,
    /// The body has run to its end.
    pub(crate) ended: bool,
    /// The compensation has run to its end.
    pub(crate) undone: bool,
    /// The request is held: the name of the stage, and whether that is in the body.
    pub(crate) held: Option<(&'static str, bool)>,
    /// Polls of the request while it was held.
    pub(crate) polls: u64,
    /// The held statement was dropped.
    pub(crate) dropped: bool,
    /// The surrounding middleware was dropped while the request was held.
    pub(crate) left: bool,
    /// The request, its body and its compensation are dropped.
    pub(crate) gone: bool,
    released: bool,
    /// The surrounding middleware panics at its next poll.
    panic: bool,
    inner: Option<Waker>,
    outer: Option<Waker>,
}

/// The driver's part of a request.
#[derive(Debug)]
pub(crate) struct Watch {
    point: Option<Point>,
    seen: Mutex<Seen>,
    news: Notify,
}

/// The request's part. When the last clone is dropped, the request is gone.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    watch: Arc<Watch>,
    pub(crate) db: Db,
    /// The number of the request, which is in its path.
    pub(crate) id: i64,
    /// How often the request was sent before.
    sent: i64,
    _gone: Arc<GoneOnDrop>,
}

#[derive(Debug)]
struct GoneOnDrop(Arc<Watch>);

impl Drop for GoneOnDrop {
    fn drop(&mut self) {
        self.0.update(|seen| seen.gone = true);
    }
}

impl Watch {
    /// Returns the watch of a request that is held at `point`, if it reaches one.
    pub(crate) fn new(point: Option<Point>) -> Arc<Self> {
        Arc::new(Self { point, seen: Mutex::default(), news: Notify::new() })
    }

    /// Returns the request's part, for a request that was sent `sent` times before.
    pub(crate) fn visit(self: &Arc<Self>, db: Db, id: i64, sent: i64) -> Visit {
        Visit { watch: self.clone(), db, id, sent, _gone: Arc::new(GoneOnDrop(self.clone())) }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let result = change(&mut self.seen());
        self.news.notify_waiters();
        result
    }

    /// Waits until `so` holds.
    pub(crate) async fn until(&self, so: impl Fn(&Seen) -> bool) {
        loop {
            let mut news = pin!(self.news.notified());
            news.as_mut().enable();
            if so(&self.seen()) {
                return;
            }
            news.await;
        }
    }

    /// Releases the held statement, wherever it is by now.
    pub(crate) fn release(&self) {
        let waker = self.update(|seen| {
            seen.released = true;
            seen.inner.take()
        });
        waker.into_iter().for_each(Waker::wake);
    }

    /// Wakes the held statement, and waits for its poll.
    pub(crate) async fn nudge(&self) {
        let (polls, waker) = {
            let seen = self.seen();
            (seen.polls, seen.inner.clone())
        };
        waker.into_iter().for_each(Waker::wake);
        self.until(|seen| seen.polls > polls || seen.dropped).await;
    }

    /// Makes the surrounding middleware panic.
    pub(crate) fn panic_around(&self) {
        let waker = self.update(|seen| {
            seen.panic = true;
            seen.outer.take()
        });
        waker.into_iter().for_each(Waker::wake);
    }

    /// Records a poll of the surrounding middleware.
    pub(crate) fn polled_around(&self, cx: &mut Context<'_>) {
        let panics = {
            let mut seen = self.seen();
            seen.outer = Some(cx.waker().clone());
            std::mem::take(&mut seen.panic)
        };
        assert!(!panics, "{ON_PURPOSE}");
    }

    /// Records the drop of the surrounding middleware.
    pub(crate) fn dropped_around(&self) {
        self.update(|seen| seen.left |= seen.held.is_some());
    }

    /// Returns whether the statement is held from here on.
    ///
    /// The label is that of the statement. After a deadline the answer and the body that follows through run at once,
    /// so the last stage that was reached may be another one.
    fn holds(&self, label: &'static str, at: Point, cx: &Context<'_>) -> bool {
        if self.point != Some(at) {
            return false;
        }
        self.update(|seen| {
            // After an early response, the driver has released the request.
            let holds = seen.held.is_none() && !seen.released;
            if holds {
                seen.held = Some((label, seen.extracted));
                seen.inner = Some(cx.waker().clone());
            }
            holds
        })
    }

    /// Returns whether the held statement may go on.
    fn is_released(&self, cx: &Context<'_>) -> bool {
        self.update(|seen| {
            seen.polls += 1;
            seen.inner = Some(cx.waker().clone());
            seen.released
        })
    }
}

/// Whether a stage holds the request. A drop of this value while it holds is recorded.
struct Hold<'a> {
    watch: &'a Watch,
    holds: bool,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if self.holds {
            self.watch.update(|seen| seen.dropped = true);
        }
    }
}

impl Visit {
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Returns the number under which this sending of the request writes its rows.
    pub(crate) const fn row(&self) -> i64 {
        row(self.id, self.sent)
    }

    /// Records that the extractor of the upload waits for the second half.
    pub(crate) fn uploads(&self) {
        self.watch.update(|seen| seen.uploads = true);
    }

    /// Records that all extractors have run.
    pub(crate) fn extracted(&self) {
        self.watch.update(|seen| seen.extracted = true);
    }

    /// Records the first poll of a body that holds its permit from there on.
    pub(crate) fn enters(&self) {
        self.watch.update(|seen| seen.entered = true);
    }

    /// Records that the body is past its point of no return.
    pub(crate) fn begins(&self) {
        self.watch.update(|seen| seen.begun = true);
    }

    /// Records the end of a body that holds its permit until there.
    pub(crate) fn ended(&self) {
        self.watch.update(|seen| seen.ended = true);
    }

    /// Records the end of a compensation.
    pub(crate) fn undone(&self) {
        self.watch.update(|seen| seen.undone = true);
    }

    /// Suspends once, so that there is a point between any two statements.
    pub(crate) async fn pause(&self, label: &'static str) {
        self.stage(label, true, tokio::task::yield_now()).await;
    }

    /// Runs a statement with a pause before and after it.
    pub(crate) async fn run<F: Future>(&self, label: &'static str, statement: F) -> F::Output {
        self.pause(label).await;
        let output = self.stage(label, false, statement).await;
        self.pause(label).await;
        output
    }

    /// Runs a stage. A `single` stage suspends once, and that suspension counts as the chosen one.
    async fn stage<F: Future>(&self, label: &'static str, single: bool, inner: F) -> F::Output {
        let stage = self.watch.update(|seen| {
            seen.stage += 1;
            seen.label = label;
            seen.stage
        });
        let mut inner = pin!(inner);
        let mut suspensions = 0;
        let mut hold = Hold { watch: &self.watch, holds: false };
        let asked = self.watch.point.map_or(1, |point| point.suspension);
        let at = |suspensions, moment| Point {
            stage,
            suspension: if single && suspensions == 1 { asked } else { suspensions },
            moment,
        };
        poll_fn(|cx| {
            if hold.holds {
                if !hold.watch.is_released(cx) {
                    return Poll::Pending;
                }
                hold.holds = false;
            } else if suspensions > 0 && hold.watch.holds(label, at(suspensions, Moment::Woken), cx)
            {
                hold.holds = true;
                return Poll::Pending;
            }
            let polled = inner.as_mut().poll(cx);
            if polled.is_pending() {
                suspensions += 1;
                hold.holds = hold.watch.holds(label, at(suspensions, Moment::Waiting), cx);
            }
            polled
        })
        .await
    }
}
