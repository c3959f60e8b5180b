//! *Stopping* beside a checkpoint: the checkpoint refuses, or the drain waits for the work that
//! passed it.

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

/// The counter that includes a request while it reads the phase.
#[derive(Clone, Copy)]
enum CountedBy {
    /// The shard of its thread, as under a layer.
    Shard,
    /// The connection that the request came on, which ends with it.
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

/// Runs a request with a durable statement: it is counted, reads the phase, and takes its permit.
/// Like a request that is cut, it is answered before its work is done.
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

/// Waits for `phase` between polls as a request under another server does: it registers, reads the
/// phase, and sleeps.
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
        // A wait for *closing* must be woken by that phase alone.
        if phase > Phase::Closing {
            life.advance(Phase::Stopping);
        }
        life.drain();
        join(request);
    });
}

#[test]
fn a_registered_request_is_woken_by_stopping() {
    hears(Phase::Stopping, ServiceState::wake_of);
}

#[test]
fn a_registered_body_is_woken_by_closing() {
    hears(Phase::Closing, ServiceState::wake_of_bodies);
}
