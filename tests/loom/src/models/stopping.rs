//! *Stopping* against a checkpoint: it refuses, or the drain waits for what passed it.

use loom::{
    future::block_on,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use super::{bounded, join};
use crate::{
    handler_policy::{HandlerPolicy, Place},
    service::{Ended, InFlight, Phase, ServiceState, WorkKind, on_shard},
    sync::{Arc, Notify},
};

const SHARD: u16 = 1;
const NOTHING: usize = 0;
const BEGUN: usize = 1;
const DONE: usize = 2;

/// What a request is counted by while it looks at the phase.
#[derive(Clone, Copy)]
enum CountedBy {
    /// Its shard, as under a layer.
    Shard,
    /// The connection that it came on, which goes with it.
    Connection,
}

impl CountedBy {
    fn up(self, life: &ServiceState) {
        match self {
            Self::Shard => assert_eq!(life.request_came(), SHARD),
            Self::Connection => life.connections().up(),
        }
    }

    fn down(self, life: &ServiceState) {
        match self {
            Self::Shard => life.request_left(SHARD),
            Self::Connection => {
                if life.connections().down() {
                    life.note_progress();
                }
            }
        }
    }
}

/// A request with a durable statement: it is counted, looks at the phase, takes its permit. It is
/// answered before the work is done, as one that is cut is.
fn request(life: &Arc<ServiceState>, ran: &AtomicUsize, counted: CountedBy) {
    let policy = HandlerPolicy::with_limit(None);
    counted.up(life);
    let refused = life.is_stopping();
    let permit = if refused {
        None
    } else {
        InFlight::acquire(life, Place { policy, site: Some(2) }, WorkKind::Durable)
    };
    if permit.is_some() {
        ran.store(BEGUN, Relaxed);
    }
    counted.down(life);
    if let Some(permit) = permit {
        ran.store(DONE, Relaxed);
        permit.leave(Ended::Completed);
    }
}

#[test]
fn a_checkpoint_refuses_or_the_drain_waits_for_what_passed_it() {
    refuses_or_is_waited_for(CountedBy::Shard);
}

#[test]
fn a_checkpoint_on_a_connection_refuses_or_the_drain_waits_for_what_passed_it() {
    refuses_or_is_waited_for(CountedBy::Connection);
}

fn refuses_or_is_waited_for(counted: CountedBy) {
    bounded(move || {
        let (life, ran) = (ServiceState::with_limit(1), Arc::new(AtomicUsize::new(NOTHING)));
        let handler = {
            let (life, ran) = (life.clone(), ran.clone());
            thread::spawn(move || {
                on_shard(SHARD);
                request(&life, &ran, counted);
            })
        };
        life.advance(Phase::Stopping);
        life.drain();
        let seen = ran.load(Relaxed);
        assert_ne!(seen, BEGUN, "drained while it ran");
        join(handler);
        assert_eq!(ran.load(Relaxed), seen, "it ran after the drain");
    });
}

/// What a request under somebody else's server does between its polls until it sees `phase`: asks to be
/// woken, looks, sleeps.
fn hears(phase: Phase, wake_of: fn(&ServiceState, u16) -> Arc<Notify>) {
    bounded(move || {
        let life = ServiceState::with_limit(1);
        let shard = life.request_came();
        let request = {
            let life = life.clone();
            thread::spawn(move || {
                let wake = wake_of(&life, shard);
                block_on(async {
                    loop {
                        let woken = wake.notified();
                        if life.phase() >= phase {
                            break;
                        }
                        woken.await;
                    }
                });
                life.request_left(shard);
            })
        };
        life.advance(Phase::Closing);
        // Left out, it is not what wakes.
        if phase > Phase::Closing {
            life.advance(Phase::Stopping);
        }
        life.drain();
        join(request);
    });
}

#[test]
fn a_request_that_asks_to_be_woken_hears_of_stopping() {
    hears(Phase::Stopping, ServiceState::wake_of);
}

#[test]
fn a_body_that_asks_to_be_woken_hears_of_closing() {
    hears(Phase::Closing, ServiceState::wake_of_bodies);
}
