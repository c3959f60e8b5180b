//! The last work to end wakes the drain, and the drain does not end while work changes hands.

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

/// Work beside a drain. The flag is `true` once the work is over.
struct Running(Arc<AtomicBool>);

impl Running {
    fn new() -> (Self, Self) {
        let over = Arc::new(AtomicBool::new(false));
        (Self(over.clone()), Self(over))
    }

    fn is_over(&self) -> bool {
        // The work set the flag before it notified the drain, so the drain reads the new value.
        self.0.load(Relaxed)
    }

    fn end(&self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn the_last_request_wakes_the_drain() {
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
fn the_last_of_two_requests_of_a_shard_wakes_the_drain() {
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
fn the_last_permit_wakes_the_drain() {
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
fn the_end_of_accepting_wakes_the_drain() {
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
fn work_that_hands_over_to_a_compensation_keeps_the_drain_waiting() {
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
fn work_that_moves_from_a_connection_to_a_permit_keeps_the_drain_waiting() {
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
        // During the read grace, a request on an open connection is still served.
        life.advance(Phase::Closing);
        life.drain();
        assert!(over.is_over(), "drained before the work was done");
        join(connection);
    });
}
