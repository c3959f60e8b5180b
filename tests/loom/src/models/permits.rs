//! Permits: never above a limit, and each comes back.

use loom::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use super::{join, model};
use crate::{
    handler_policy::{HandlerPolicy, Place},
    service::{Ended, InFlight, Phase, ServiceState, WorkKind, on_shard},
    sync::Arc,
};

fn acquire(life: &Arc<ServiceState>, policy: &'static HandlerPolicy) -> Option<InFlight> {
    InFlight::acquire(life, Place { policy, site: None }, WorkKind::Durable)
}

/// Acquires, notes how many have at once, and gives back; says whether it got one.
fn works(life: &Arc<ServiceState>, policy: &'static HandlerPolicy, at_once: &AtomicUsize) -> bool {
    let Some(permit) = acquire(life, policy) else { return false };
    assert_eq!(at_once.fetch_add(1, Relaxed), 0, "more than one at once");
    at_once.fetch_sub(1, Relaxed);
    permit.leave(Ended::Completed);
    true
}

#[test]
fn a_limit_of_the_service_is_never_exceeded_and_every_permit_comes_back() {
    model(|| {
        let (life, policy) = (ServiceState::with_limit(1), HandlerPolicy::with_limit(None));
        let at_once = Arc::new(AtomicUsize::new(0));
        let other = {
            let (life, at_once) = (life.clone(), at_once.clone());
            thread::spawn(move || {
                on_shard(1);
                works(&life, policy, &at_once)
            })
        };
        let here = works(&life, policy, &at_once);
        assert!(join(other) || here, "nobody got the only one");
        assert!(works(&life, policy, &at_once), "it did not come back");
        let counts = life.counts();
        assert_eq!(counts.begun, counts.completed);
    });
}

#[test]
fn a_limit_of_the_handler_is_never_exceeded_and_gives_back_that_of_the_service() {
    model(|| {
        let (life, policy) = (ServiceState::with_limit(2), HandlerPolicy::with_limit(Some(1)));
        let at_once = Arc::new(AtomicUsize::new(0));
        let other = {
            let (life, at_once) = (life.clone(), at_once.clone());
            thread::spawn(move || works(&life, policy, &at_once))
        };
        works(&life, policy, &at_once);
        join(other);
        assert!(works(&life, policy, &at_once), "the handler's did not come back");
        let free = HandlerPolicy::with_limit(None);
        let both = [acquire(&life, free), acquire(&life, free)];
        assert!(both.iter().all(Option::is_some), "the service's did not come back");
    });
}

#[test]
fn a_drain_that_saw_a_refused_permit_is_woken() {
    model(|| {
        let (life, policy) = (ServiceState::with_limit(1), HandlerPolicy::with_limit(Some(0)));
        let refused = {
            let life = life.clone();
            thread::spawn(move || acquire(&life, policy).is_none())
        };
        life.advance(Phase::Stopping);
        life.drain();
        assert!(join(refused));
    });
}

#[test]
fn what_has_begun_has_ended_or_is_still_there_whenever_one_asks() {
    model(|| {
        let (life, policy) = (ServiceState::with_limit(1), HandlerPolicy::with_limit(None));
        let work = {
            let life = life.clone();
            thread::spawn(move || {
                if let Some(permit) = acquire(&life, policy) {
                    permit.leave(Ended::Completed);
                }
            })
        };
        let report = life.report();
        assert_eq!(report.begun, report.completed + report.abandoned);
        join(work);
        assert_eq!(life.report().completed, 1);
    });
}
