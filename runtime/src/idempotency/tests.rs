//! The writes that run, in one thread. Loom models them in several, and includes their file.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::{
    End, Fingerprint, Join, RecordId,
    running::{JOINERS, Running},
};

fn id() -> RecordId {
    RecordId::new("scope", "key")
}

fn poll(join: &mut Join) -> Poll<End> {
    Pin::new(join).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn one_write_leads_and_sixteen_retries_join() {
    let running = Running::default();
    let print = Fingerprint([1; 32]);
    let lead = running.lead(id(), print).expect("it is the first");
    let other = running.lead(id(), print).expect_err("it is the second");
    let mut joins: Vec<_> =
        (0..JOINERS).map(|_| Join::begin(&other).expect("there is room")).collect();
    assert!(Join::begin(&other).is_none());
    joins.pop();
    let mut join = Join::begin(&other).expect("one has left");
    assert!(poll(&mut join).is_pending());
    drop(lead);
    assert_eq!(poll(&mut join), Poll::Ready(End::NoAnswer));
    assert!(running.find(&id()).is_none());
    assert!(running.lead(id(), print).is_ok());
}
