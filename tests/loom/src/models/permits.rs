//! Permits: their number never exceeds a limit, and each permit is given back.

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

/// Acquires a permit, records how many are held at once, and gives it back. Returns whether there
/// was a permit.
fn works(life: &Arc<ServiceState>, policy: &'static HandlerPolicy, at_once: &AtomicUsize) -> bool {
    let Some(permit) = acquire(life, policy) else { return false };
    assert_eq!(at_once.fetch_add(1, Relaxed), 0, "more than one at once");
    at_once.fetch_sub(1, Relaxed);
    permit.leave(Ended::Completed);
    true
}

#[test]
fn the_limit_of_the_service_is_never_exceeded_and_every_permit_comes_back() {
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
        assert!(join(other) || here, "no thread got the only permit");
        assert!(works(&life, policy, &at_once), "it did not come back");
        let counts = life.counts();
        assert_eq!(counts.begun, counts.completed);
    });
}

#[test]
fn a_refusal_by_the_limit_of_a_handler_gives_back_the_permit_of_the_service() {
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
fn the_return_of_a_refused_permit_wakes_the_drain() {
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
fn begun_work_is_counted_as_ended_or_still_running_at_any_time() {
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
