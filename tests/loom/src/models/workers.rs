//! Workers are told to stop whenever they start, and their end wakes the drain.

use loom::thread;

use super::{join, model};
use crate::{
    service::{Phase, ServiceState},
    sync::CancellationToken,
};

#[test]
fn a_worker_that_starts_while_all_are_told_to_stop_is_told() {
    model(|| {
        let (life, stop) = (ServiceState::with_limit(1), CancellationToken::new());
        let comes = {
            let (life, stop) = (life.clone(), stop.clone());
            thread::spawn(move || life.worker(&stop))
        };
        life.stop_workers(false);
        join(comes);
        assert!(stop.is_cancelled());
    });
}

#[test]
fn a_worker_that_registers_for_the_signal_while_it_comes_is_told() {
    model(|| {
        let (life, stop) = (ServiceState::with_limit(1), CancellationToken::new());
        let key = life.worker(&stop);
        let asks = {
            let (life, stop) = (life.clone(), stop.clone());
            thread::spawn(move || life.stop_first(key, &stop))
        };
        life.advance(Phase::NotReady);
        life.stop_workers(true);
        join(asks);
        assert!(stop.is_cancelled());
    });
}

#[test]
fn the_last_worker_wakes_the_drain() {
    model(|| {
        let (life, stop) = (ServiceState::with_limit(1), CancellationToken::new());
        let key = life.worker(&stop);
        let worker = {
            let life = life.clone();
            thread::spawn(move || life.worker_left(key))
        };
        life.advance(Phase::Stopping);
        life.until_no_worker();
        join(worker);
    });
}
