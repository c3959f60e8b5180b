//! Claim, finish, join and leave: the write of a key happens once, and each retry gets its answer.
//!
//! The store of the models is one lock around the answer, as each store is one row.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use loom::{future::block_on, thread};

use super::{bounded, join};
use crate::{
    idempotency::{End, Fingerprint, Join, RecordId, Running, StoredAnswer},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

#[derive(Default)]
struct Process {
    running: Running,
    stored: Mutex<Option<StoredAnswer>>,
    effects: AtomicUsize,
}

const PRINT: Fingerprint = Fingerprint([0; 32]);

fn id() -> RecordId {
    RecordId::new("scope", "key")
}

impl Process {
    fn stored(&self) -> Option<StoredAnswer> {
        *self.stored.lock().expect("nothing panics")
    }

    /// Runs a request as a keyed handler does: joins, replays, or writes. `gives_up` leads and does not begin.
    fn request(&self, gives_up: bool) -> Option<StoredAnswer> {
        loop {
            if let Some(running) = self.running.find(&id()) {
                let mut joined = Join::begin(&running).expect("there are few");
                match block_on(poll_fn(|cx| Pin::new(&mut joined).poll(cx))) {
                    End::Answered(answer) => return Some(answer),
                    End::NoAnswer => continue,
                }
            }
            let Ok(lead) = self.running.lead(id(), PRINT) else { continue };
            if gives_up {
                return None;
            }
            if let Some(answer) = self.stored() {
                return Some(answer);
            }
            let run = self.effects.fetch_add(1, Relaxed) + 1;
            let answer = StoredAnswer(u8::try_from(run).expect("there are few"));
            *self.stored.lock().expect("nothing panics") = Some(answer);
            lead.end(answer);
            return Some(answer);
        }
    }
}

#[test]
fn two_requests_with_one_key_have_one_effect_and_one_answer() {
    bounded(|| {
        let process = Arc::new(Process::default());
        let other = {
            let process = process.clone();
            thread::spawn(move || process.request(false))
        };
        let answers = [process.request(false), join(other)];
        assert_eq!(answers, [Some(StoredAnswer(1)); 2]);
        assert_eq!(process.effects.load(Relaxed), 1);
        assert!(process.running.find(&id()).is_none());
    });
}

#[test]
fn a_write_that_does_not_begin_leaves_its_key_to_the_next_request() {
    bounded(|| {
        let process = Arc::new(Process::default());
        let gives_up = {
            let process = process.clone();
            thread::spawn(move || process.request(true))
        };
        assert_eq!(process.request(false), Some(StoredAnswer(1)));
        assert!(matches!(join(gives_up), None | Some(StoredAnswer(1))));
        assert_eq!(process.effects.load(Relaxed), 1);
    });
}

#[test]
fn a_retry_that_leaves_changes_nothing_for_the_one_that_stays() {
    bounded(|| {
        let process = Arc::new(Process::default());
        let lead = process.running.lead(id(), PRINT).expect("it is the first");
        let running = process.running.find(&id()).expect("it runs");
        let (mut stays, mut leaves) = (
            Join::begin(&running).expect("there is room"),
            Join::begin(&running).expect("there is room"),
        );
        let leaving = thread::spawn(move || {
            let _ = Pin::new(&mut leaves).poll(&mut Context::from_waker(Waker::noop()));
        });
        let writing = thread::spawn(move || lead.end(StoredAnswer(7)));
        let end = block_on(poll_fn(|cx| Pin::new(&mut stays).poll(cx)));
        assert_eq!(end, End::Answered(StoredAnswer(7)));
        join(leaving);
        join(writing);
        let polled = Pin::new(&mut stays).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(End::Answered(_))));
    });
}
