//! A rescue beside the end of the drain: exactly one side completes a body that its connection
//! drops, or the body is counted and named as abandoned. Its permit ends once.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use loom::{
    future::block_on,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use super::{bounded, join};
use crate::{
    handler_policy::{HandlerPolicy, Place},
    service::{Ended, InFlight, Phase, ServiceState, WorkKind},
    sync::Arc,
};

/// A body past its point of no return, with the permit of its runner. A body that ends completes
/// the permit, and a body that is dropped before abandons it.
struct Body {
    permit: Option<InFlight>,
    polls: usize,
    ends: Arc<AtomicUsize>,
}

impl Future for Body {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.polls > 0 {
            self.polls -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.end(Ended::Completed);
        Poll::Ready(())
    }
}

impl Body {
    fn end(&mut self, ended: Ended) {
        if let Some(permit) = self.permit.take() {
            self.ends.fetch_add(1, Relaxed);
            permit.leave(ended);
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.end(Ended::Abandoned);
    }
}

fn begun(life: &Arc<ServiceState>, polls: usize, ends: &Arc<AtomicUsize>) -> Body {
    let policy = HandlerPolicy::with_limit(None);
    let permit = InFlight::acquire(life, Place { policy, site: None }, WorkKind::Durable);
    Body { permit, polls, ends: ends.clone() }
}

/// Drops a runner as the thread of its connection does: the body goes on as a task, unless the
/// drain is over.
fn hang_up(life: &Arc<ServiceState>, body: Body) {
    if life.has_ended() {
        return drop(body);
    }
    if let Some(permit) = &body.permit {
        permit.detached();
    }
    let life = life.clone();
    join(thread::spawn(move || block_on(life.until_ended(body))));
}

#[test]
fn a_body_that_its_connection_drops_is_completed_or_named_and_counted_once() {
    bounded(|| {
        let (life, ends) = (ServiceState::with_limit(1), Arc::new(AtomicUsize::new(0)));
        let shard = life.request_came();
        let body = begun(&life, 1, &ends);
        let connection = {
            let life = life.clone();
            thread::spawn(move || {
                hang_up(&life, body);
                life.request_left(shard);
            })
        };
        // The grace is over: the drain names the remaining work and drops it.
        life.advance(Phase::Stopping);
        let named = life.left();
        life.advance(Phase::Ended);
        let report = life.report();
        assert_eq!(report.begun, 1);
        assert_eq!(report.completed + report.abandoned, 1, "counted once, whenever one asks");
        assert!(report.abandoned <= named as u64, "counted as abandoned, and not named");
        join(connection);
        let end = life.counts();
        assert_eq!(ends.load(Relaxed), 1, "its permit ended once");
        assert_eq!(end.completed + end.abandoned, 1);
        assert!(end.abandoned <= named as u64, "abandoned, and not named");
        assert!(life.has_drained());
    });
}

#[test]
fn a_drain_waits_for_a_body_that_moves_to_a_task() {
    bounded(|| {
        let (life, ends) = (ServiceState::with_limit(1), Arc::new(AtomicUsize::new(0)));
        let shard = life.request_came();
        let body = begun(&life, 0, &ends);
        let connection = {
            let life = life.clone();
            thread::spawn(move || {
                let rescued = {
                    let life = life.clone();
                    thread::spawn(move || block_on(life.until_ended(body)))
                };
                life.request_left(shard);
                join(rescued);
            })
        };
        life.advance(Phase::Stopping);
        life.drain();
        assert_eq!(life.report().completed, 1, "drained before it was done");
        join(connection);
    });
}

#[test]
fn a_body_that_needs_one_more_poll_completes_after_the_drain_has_ended() {
    bounded(|| {
        let (life, ends) = (ServiceState::with_limit(1), Arc::new(AtomicUsize::new(0)));
        let body = begun(&life, 0, &ends);
        let task = {
            let life = life.clone();
            thread::spawn(move || block_on(life.until_ended(body)))
        };
        life.advance(Phase::Ended);
        join(task);
        assert_eq!(life.counts().completed, 1);
    });
}
