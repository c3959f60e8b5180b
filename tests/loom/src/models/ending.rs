//! The drain task and the watchdog end a drain at the same time.

use loom::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use super::{bounded, join, model};
use crate::{service::Ending, sync::Arc};

#[derive(Default)]
struct Drain {
    ending: Ending<u32, u32>,
    named: AtomicUsize,
}

impl Drain {
    /// Ends the drain in the order of `drain.rs`, as the drain task and the watchdog do.
    fn end(&self, left: u32) {
        if self.ending.leave(left) {
            self.named.fetch_add(1, Relaxed);
        }
        let Some(claim) = self.ending.claim() else { return };
        claim.publish(*self.ending.left().expect("it was left before"));
    }
}

#[test]
fn a_drain_that_two_threads_end_is_named_and_published_once() {
    model(|| {
        let drain = Arc::new(Drain::default());
        let watchdog = {
            let drain = drain.clone();
            thread::spawn(move || drain.end(1))
        };
        drain.end(2);
        join(watchdog);
        assert_eq!(drain.named.load(Relaxed), 1);
        let left = *drain.ending.left().expect("a thread has set it");
        assert_eq!(drain.ending.report(), Some(&left));
    });
}

#[test]
fn the_report_is_published_before_its_waiters_are_woken() {
    bounded(|| {
        let drain = Arc::new(Drain::default());
        let ends = [1, 2].map(|left| {
            let drain = drain.clone();
            thread::spawn(move || drain.end(left))
        });
        loom::future::block_on(drain.ending.reported().cancelled());
        assert_eq!(drain.ending.report(), drain.ending.left(), "it is there when it is told");
        ends.into_iter().for_each(join);
    });
}

#[test]
fn a_thread_that_panics_before_its_report_wakes_the_waiters() {
    model(|| {
        let drain = Arc::new(Drain::default());
        let claim = drain.ending.claim().expect("no other thread has claimed it");
        let waits = {
            let drain = drain.clone();
            thread::spawn(move || loom::future::block_on(drain.ending.reported().cancelled()))
        };
        drop(claim);
        join(waits);
        assert_eq!(drain.ending.report(), None);
    });
}
