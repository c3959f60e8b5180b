//! A linked token: the first source stands, and a dropped wait leaves no registration behind.

use std::{future::poll_fn, pin::pin, task::Poll};

use loom::{future::block_on, thread};

use super::{bounded, join};
use crate::{
    link::First,
    sync::{Arc, CancellationToken},
};

fn never() -> bool {
    false
}

#[test]
fn all_threads_see_the_same_first_source_of_a_link() {
    bounded(|| {
        let sources = [CancellationToken::new(), CancellationToken::new()];
        let first = Arc::new(First::of(sources.clone()));
        let [a, b] = sources;
        let there = {
            let first = first.clone();
            thread::spawn(move || {
                a.cancel();
                first.look(never)
            })
        };
        let late = {
            let first = first.clone();
            thread::spawn(move || first.look(|| true))
        };
        b.cancel();
        let here = first.look(never);
        let (there, late) = (join(there), join(late));
        assert!(here.is_some());
        assert_eq!((here, here), (there, late));
        assert_eq!(first.look(never), here);
    });
}

#[test]
fn a_wait_that_is_dropped_while_a_source_fires_leaves_no_registration() {
    bounded(|| {
        let (source, silent) = (CancellationToken::new(), CancellationToken::new());
        let first = Arc::new(First::of([silent.clone(), source.clone()]));
        let waits = {
            let first = first.clone();
            thread::spawn(move || block_on(first.cancelled()))
        };
        let fires = {
            let source = source.clone();
            thread::spawn(move || source.cancel())
        };
        let polled = block_on(async {
            let mut wait = pin!(first.cancelled());
            poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await
        });
        assert!(matches!(polled, Poll::Pending | Poll::Ready(1)));
        assert_eq!(join(waits), 1, "the remaining wait is woken");
        join(fires);
        assert_eq!((silent.registered(), source.registered()), (0, 0));
        assert_eq!(first.look(never), Some(1));
    });
}
