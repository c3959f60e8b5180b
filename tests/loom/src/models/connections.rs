//! Each task of a connection is woken by the event that it waits for.

use std::{future::poll_fn, task::Poll};

use loom::{future::block_on, thread};

use super::{join, model};
use crate::{
    connection::{HeldBytes, Wakers},
    service::{Phase, ServiceState},
    sync::Arc,
};

#[test]
fn a_task_that_registered_its_waker_is_woken_by_an_advance() {
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
fn a_stream_that_waits_for_its_frames_hears_when_they_are_released() {
    model(|| {
        let held = Arc::new(HeldBytes::default());
        held.add(3);
        let stream = {
            let held = held.clone();
            thread::spawn(move || {
                block_on(poll_fn(
                    |cx| if held.exceed(0, cx) { Poll::Pending } else { Poll::Ready(()) },
                ));
            })
        };
        held.release(1);
        held.release(2);
        join(stream);
    });
}
