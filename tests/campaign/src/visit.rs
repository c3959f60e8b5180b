//! One request, as its handler and its driver see it: where it is, and how a fault is made to fall
//! exactly there.
//!
//! Every statement of a handler goes through [`Visit::run`], which counts how often it suspends. At
//! the chosen suspension it holds the request: it tells the driver, and polls what is inside only
//! when the driver releases it. Whatever drops the request meanwhile, drops it there.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

use crate::{
    database::Db,
    plan::{Moment, Point},
};

/// What panics on purpose says so, and is left out of the output.
pub(crate) const ON_PURPOSE: &str = "the campaign panics on purpose";

/// What has happened to a request.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an event that somebody waits for")]
pub(crate) struct Seen {
    /// The stage that was reached last, and its name.
    pub(crate) stage: u32,
    pub(crate) label: &'static str,
    /// The extractor of the upload waits for the rest of it.
    pub(crate) uploads: bool,
    /// The extractors are through.
    pub(crate) extracted: bool,
    /// The body was polled.
    pub(crate) entered: bool,
    /// The body is past its point of no return.
    pub(crate) begun: bool,
    /// The body has run to its end.
    pub(crate) ended: bool,
    /// The compensation has run to its end.
    pub(crate) undone: bool,
    /// Held at the point: its name, and whether that is in the body.
    pub(crate) held: Option<(&'static str, bool)>,
    /// Polls while it was held.
    pub(crate) polls: u64,
    /// What was held was dropped.
    pub(crate) dropped: bool,
    /// What is around it was dropped while it was held.
    pub(crate) left: bool,
    /// Nothing holds this request any more, nor its body, nor its compensation.
    pub(crate) gone: bool,
    released: bool,
    /// What is around the handler panics at its next poll.
    panic: bool,
    inner: Option<Waker>,
    outer: Option<Waker>,
}

/// What the driver keeps of a request.
#[derive(Debug)]
pub(crate) struct Watch {
    point: Option<Point>,
    seen: Mutex<Seen>,
    news: Notify,
}

/// What the request keeps; when the last one is dropped, the request is gone.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    watch: Arc<Watch>,
    pub(crate) db: Db,
    pub(crate) id: i64,
    _life: Arc<Life>,
}

#[derive(Debug)]
struct Life(Arc<Watch>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.update(|seen| seen.gone = true);
    }
}

impl Watch {
    /// A request that is held at `point`, if it is given and reached.
    pub(crate) fn new(point: Option<Point>) -> Arc<Self> {
        Arc::new(Self { point, seen: Mutex::default(), news: Notify::new() })
    }

    pub(crate) fn visit(self: &Arc<Self>, db: Db, id: i64) -> Visit {
        Visit { watch: self.clone(), db, id, _life: Arc::new(Life(self.clone())) }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let result = change(&mut self.seen());
        self.news.notify_waiters();
        result
    }

    /// Waits until `so`.
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

    /// Lets what is held go on, wherever it is by now.
    pub(crate) fn release(&self) {
        let waker = self.update(|seen| {
            seen.released = true;
            seen.inner.take()
        });
        waker.into_iter().for_each(Waker::wake);
    }

    /// Has what is held polled, and waits for that.
    pub(crate) async fn nudge(&self) {
        let (polls, waker) = {
            let seen = self.seen();
            (seen.polls, seen.inner.clone())
        };
        waker.into_iter().for_each(Waker::wake);
        self.until(|seen| seen.polls > polls || seen.dropped).await;
    }

    /// Makes what is around the handler panic.
    pub(crate) fn panic_around(&self) {
        let waker = self.update(|seen| {
            seen.panic = true;
            seen.outer.take()
        });
        waker.into_iter().for_each(Waker::wake);
    }

    /// What is around the handler is polled.
    pub(crate) fn polled_around(&self, cx: &mut Context<'_>) {
        let panics = {
            let mut seen = self.seen();
            seen.outer = Some(cx.waker().clone());
            std::mem::take(&mut seen.panic)
        };
        assert!(!panics, "{ON_PURPOSE}");
    }

    /// What is around the handler is dropped.
    pub(crate) fn dropped_around(&self) {
        self.update(|seen| seen.left |= seen.held.is_some());
    }

    /// Whether it is held from here on.
    fn holds(&self, at: Point, cx: &Context<'_>) -> bool {
        if self.point != Some(at) {
            return false;
        }
        self.update(|seen| {
            // A driver that has its answer already lets nothing be held any more.
            let holds = seen.held.is_none() && !seen.released;
            if holds {
                seen.held = Some((seen.label, seen.extracted));
                seen.inner = Some(cx.waker().clone());
            }
            holds
        })
    }

    /// Whether what is held may go on.
    fn is_released(&self, cx: &Context<'_>) -> bool {
        self.update(|seen| {
            seen.polls += 1;
            seen.inner = Some(cx.waker().clone());
            seen.released
        })
    }
}

/// Whether a stage holds the request, and what it says if it is dropped then.
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

    /// The extractor of the upload waits for the rest of it.
    pub(crate) fn uploads(&self) {
        self.watch.update(|seen| seen.uploads = true);
    }

    /// The extractors are through.
    pub(crate) fn extracted(&self) {
        self.watch.update(|seen| seen.extracted = true);
    }

    /// The first thing in a body that holds its permit from there on.
    pub(crate) fn enters(&self) {
        self.watch.update(|seen| seen.entered = true);
    }

    /// The first thing past the point of no return.
    pub(crate) fn begins(&self) {
        self.watch.update(|seen| seen.begun = true);
    }

    /// The last thing in a body that holds its permit until there.
    pub(crate) fn ended(&self) {
        self.watch.update(|seen| seen.ended = true);
    }

    /// The last thing of a compensation.
    pub(crate) fn undone(&self) {
        self.watch.update(|seen| seen.undone = true);
    }

    /// A suspension of our own, so that there is a point between any two statements.
    pub(crate) async fn pause(&self, label: &'static str) {
        self.stage(label, true, tokio::task::yield_now()).await;
    }

    /// A statement, with a pause before and after it.
    pub(crate) async fn run<F: Future>(&self, label: &'static str, statement: F) -> F::Output {
        self.pause(label).await;
        let output = self.stage(label, false, statement).await;
        self.pause(label).await;
        output
    }

    /// `single`: it suspends once, whatever suspension was asked for.
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
            } else if suspensions > 0 && hold.watch.holds(at(suspensions, Moment::Woken), cx) {
                hold.holds = true;
                return Poll::Pending;
            }
            let polled = inner.as_mut().poll(cx);
            if polled.is_pending() {
                suspensions += 1;
                hold.holds = hold.watch.holds(at(suspensions, Moment::Waiting), cx);
            }
            polled
        })
        .await
    }
}
