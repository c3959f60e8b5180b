//! A drain: woken by the last one out, and never while work changes hands.

use loom::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
};

use super::{bounded, join, model};
use crate::{
    handler::hand_over,
    handler_policy::{HandlerPolicy, Place},
    service::{Ended, InFlight, Phase, ServiceState, WorkKind, on_shard},
    sync::Arc,
};

fn place() -> Place {
    Place { policy: HandlerPolicy::with_limit(None), site: None }
}

fn acquire(life: &Arc<ServiceState>) -> InFlight {
    InFlight::acquire(life, place(), WorkKind::Durable).expect("there are permits")
}

/// Something runs, beside a drain; `true` when it is over.
struct Running(Arc<AtomicBool>);

impl Running {
    fn new() -> (Self, Self) {
        let over = Arc::new(AtomicBool::new(false));
        (Self(over.clone()), Self(over))
    }

    fn is_over(&self) -> bool {
        // What the drain has heard of has happened before, so this sees it.
        self.0.load(Relaxed)
    }

    fn end(&self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_drain_hears_of_the_last_request() {
    model(|| {
        let life = ServiceState::with_limit(1);
        let (running, over) = Running::new();
        let shard = life.request_came();
        let request = {
            let life = life.clone();
            thread::spawn(move || {
                running.end();
                life.request_left(shard);
            })
        };
        life.advance(Phase::Closing);
        life.drain();
        assert!(over.is_over());
        join(request);
    });
}

#[test]
fn a_drain_hears_of_whichever_request_of_a_shard_is_the_last() {
    bounded(|| {
        let life = ServiceState::with_limit(1);
        let left = Arc::new(AtomicUsize::new(2));
        let requests = [(); 2].map(|()| {
            let (life, left) = (life.clone(), left.clone());
            let shard = life.request_came();
            thread::spawn(move || {
                left.fetch_sub(1, Relaxed);
                life.request_left(shard);
            })
        });
        life.advance(Phase::Closing);
        life.drain();
        assert_eq!(left.load(Relaxed), 0);
        requests.into_iter().for_each(join);
    });
}

#[test]
fn a_drain_hears_of_the_last_permit() {
    model(|| {
        let life = ServiceState::with_limit(1);
        let (running, over) = Running::new();
        let permit = acquire(&life);
        let work = thread::spawn(move || {
            on_shard(1);
            running.end();
            permit.leave(Ended::Completed);
        });
        life.advance(Phase::Stopping);
        life.drain();
        assert!(over.is_over());
        assert_eq!(life.counts().completed, 1, "its end is noted before it is gone");
        join(work);
    });
}

#[test]
fn a_drain_hears_of_a_listener_that_accepts_no_more() {
    model(|| {
        let life = ServiceState::with_limit(1);
        let (running, over) = Running::new();
        life.begin_accepting();
        let server = {
            let life = life.clone();
            thread::spawn(move || {
                running.end();
                life.stop_accepting();
            })
        };
        life.advance(Phase::Closing);
        life.drain();
        assert!(over.is_over());
        join(server);
    });
}

#[test]
fn work_that_hands_over_to_a_compensation_is_never_seen_as_nothing() {
    bounded(|| {
        let life = ServiceState::with_limit(1);
        let (running, over) = Running::new();
        let permit = acquire(&life);
        let work = {
            let life = life.clone();
            thread::spawn(move || {
                let mut entry = None;
                let undo = || {
                    entry = Some(InFlight::unlimited(life, place(), WorkKind::Compensation));
                };
                hand_over(undo, || permit.leave(Ended::Cut));
                running.end();
                drop(entry);
            })
        };
        life.advance(Phase::Stopping);
        life.drain();
        assert!(over.is_over(), "drained before the compensation had run");
        join(work);
    });
}

#[test]
fn work_that_moves_from_a_connection_to_a_permit_is_never_seen_as_nothing() {
    bounded(|| {
        let life = ServiceState::with_limit(1);
        let (running, over) = Running::new();
        life.connections().up();
        let connection = {
            let life = life.clone();
            thread::spawn(move || {
                let shard = life.request_came();
                let permit = acquire(&life);
                life.request_left(shard);
                if life.connections().down() {
                    life.note_progress();
                }
                running.end();
                permit.leave(Ended::Completed);
            })
        };
        // The read grace: what comes on an open connection is still served.
        life.advance(Phase::Closing);
        life.drain();
        assert!(over.is_over(), "drained before the work was done");
        join(connection);
    });
}
