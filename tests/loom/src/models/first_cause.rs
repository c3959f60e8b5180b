//! The first cause wins, and every token fires with it.

use loom::{future::block_on, thread};

use super::{join, model};
use crate::{
    cancellation::RequestState,
    cause::Cause,
    service::{Phase, ServiceState},
    sync::Arc,
};

fn shared() -> (Arc<RequestState>, Arc<RequestState>) {
    let state = Arc::new(RequestState::external());
    (state.clone(), state)
}

#[test]
fn all_threads_see_the_cause_that_settles_first() {
    model(|| {
        let (state, other) = shared();
        let other = thread::spawn(move || other.settle(Cause::DeadlineExceeded));
        let here = state.settle(Cause::ShuttingDown);
        let there = join(other);
        assert!(here.is_some());
        assert_eq!((here, there), (state.settled(), state.settled()));
    });
}

#[test]
fn a_token_is_cancelled_if_and_only_if_a_cause_is_settled() {
    model(|| {
        let (state, other) = shared();
        let settles = thread::spawn(move || other.settle(Cause::ClientDisconnected));
        let token = state.token();
        if token.is_cancelled() {
            assert!(state.settled().is_some(), "cancelled before there was a cause");
        }
        join(settles);
        assert!(token.is_cancelled(), "made while the cause was settled, and not cancelled");
    });
}

#[test]
fn two_threads_that_create_the_token_get_the_same_token() {
    model(|| {
        let (state, other) = shared();
        let makes = thread::spawn(move || other.token());
        let settled = state.settle(Cause::ClientDisconnected);
        assert!(settled.is_some());
        assert!(state.token().is_cancelled());
        assert!(join(makes).is_cancelled());
    });
}

#[test]
fn a_request_either_finishes_or_is_settled() {
    model(|| {
        let (state, other) = shared();
        let (third, makes) = (state.clone(), state.clone());
        let settles = thread::spawn(move || other.settle(Cause::ClientDisconnected));
        let makes = thread::spawn(move || makes.token());
        third.finish();
        let seen = third.settled();
        let settled = join(settles);
        assert_eq!(seen, settled, "the cause at the finish never changes");
        assert_eq!(state.settled(), settled);
        let (made, token) = (join(makes), state.token());
        assert_eq!(made.is_cancelled(), settled.is_some());
        assert_eq!(token.is_cancelled(), settled.is_some());
    });
}

#[test]
fn every_wait_is_woken_by_a_cause() {
    model(|| {
        let (state, other) = shared();
        let waits = thread::spawn(move || block_on(other.cancelled(None)));
        state.settle(Cause::ClientDisconnected);
        assert_eq!(join(waits), Cause::ClientDisconnected);
    });
}

#[test]
fn every_wait_is_woken_by_stopping() {
    model(|| {
        let life = ServiceState::with_limit(1);
        let state = Arc::new(RequestState::linked(life.clone(), None, None));
        let waits = thread::spawn(move || block_on(state.cancelled(None)));
        life.advance(Phase::Stopping);
        assert_eq!(join(waits), Cause::ShuttingDown);
    });
}
