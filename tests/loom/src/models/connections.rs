//! The tasks of a connection: none of them sleeps through what it waits for.

use std::{future::poll_fn, task::Poll};

use loom::{future::block_on, thread};

use super::{join, model};
use crate::{
    connection::{HeldFrame, Wakers},
    service::{Phase, ServiceState},
    sync::Arc,
};

#[test]
fn a_task_that_has_left_its_waker_hears_of_an_advance() {
    model(|| {
        let (life, wakers) = (ServiceState::with_limit(1), Arc::new(Wakers::default()));
        let task = {
            let (life, wakers) = (life.clone(), wakers.clone());
            thread::spawn(move || {
                let mut key = None;
                block_on(poll_fn(|cx| {
                    key.get_or_insert_with(|| wakers.enter(cx));
                    if life.has_ended() { Poll::Ready(()) } else { Poll::Pending }
                }));
                if let Some(key) = key {
                    wakers.leave(key);
                }
            })
        };
        life.advance_and(Phase::Ended, || wakers.wake());
        join(task);
    });
}

#[test]
fn a_stream_that_waits_for_its_frame_hears_when_it_is_let_go_of() {
    model(|| {
        let out = Arc::new(HeldFrame::default());
        let stream = {
            let out = out.clone();
            thread::spawn(move || {
                block_on(poll_fn(
                    |cx| if out.is_held(cx) { Poll::Pending } else { Poll::Ready(()) },
                ));
            })
        };
        out.release();
        join(stream);
    });
}
