//! Tests of the state of a token, from two threads at once.

use std::{sync::Barrier, thread};

use tokio_util::sync::CancellationToken;

use super::state::RequestState;
use crate::cause::Cause;

#[test]
fn a_token_that_is_made_while_the_cause_is_settled_is_cancelled() {
    const ROUNDS: usize = 5_000;
    let states: Vec<_> = (0..ROUNDS).map(|_| RequestState::external()).collect();
    let together = Barrier::new(2);
    thread::scope(|scope| {
        let made = scope.spawn(|| {
            let make = |state: &RequestState| {
                together.wait();
                state.token()
            };
            states.iter().map(make).collect::<Vec<_>>()
        });
        for state in &states {
            together.wait();
            state.settle(Cause::ClientDisconnected);
        }
        let made = made.join().expect("nothing panics");
        assert!(made.iter().all(CancellationToken::is_cancelled));
    });
}

#[test]
fn two_threads_that_settle_agree_on_the_first_cause() {
    let state = RequestState::external();
    let settle = |cause| state.settle(cause);
    let (a, b) = thread::scope(|scope| {
        let other = scope.spawn(|| settle(Cause::DeadlineExceeded));
        (settle(Cause::ShuttingDown), other.join().expect("nothing panics"))
    });
    assert_eq!((a, b), (state.settled(), state.settled()));
}

#[test]
fn a_finished_request_cannot_be_settled() {
    let state = RequestState::external();
    state.finish();
    assert_eq!(state.settle(Cause::ClientDisconnected), None);
    assert_eq!(state.cause(None), None);
    assert!(!state.token().is_cancelled());
}
