//! The handler that each thread polls, for the watchdog of a drain to name one that blocks.
//!
//! A poll costs two relaxed stores to a cache line that no other thread writes. Threads beyond
//! [`THREADS`] share slots; then a name can get lost, and nothing else.

use std::{
    cell::Cell,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::handler_policy::HandlerPolicy;

const THREADS: usize = 256;

/// The address of the policy whose body a thread polls; zero for none. An address, because no safe
/// code turns a pointer back into a reference.
#[derive(Debug)]
#[repr(align(64))]
struct Slot(AtomicUsize);

static SLOTS: [Slot; THREADS] = [const { Slot(AtomicUsize::new(0)) }; THREADS];
/// How many threads have a slot.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

/// A body that this thread polls, until [`end`](Self::end).
#[must_use]
pub(crate) struct Polling {
    slot: &'static Slot,
    caller: usize,
}

impl Polling {
    #[inline]
    pub(crate) fn begin(policy: &'static HandlerPolicy) -> Self {
        let slot = OWN.get().unwrap_or_else(take_slot);
        let caller = slot.0.load(Relaxed);
        slot.0.store(address(policy), Relaxed);
        Self { slot, caller }
    }

    #[inline]
    pub(crate) fn end(self) {
        self.slot.0.store(self.caller, Relaxed);
    }
}

#[cold]
fn take_slot() -> &'static Slot {
    let slot = &SLOTS[TAKEN.fetch_add(1, Relaxed) % THREADS];
    OWN.set(Some(slot));
    slot
}

/// The key by which [`polled`] knows a policy.
#[inline]
pub(crate) fn address(policy: &'static HandlerPolicy) -> usize {
    ptr::from_ref(policy).addr()
}

/// For each thread that has polled a body, the address of the policy that it polls now, or zero.
pub(crate) fn polled() -> impl Iterator<Item = usize> {
    let taken = TAKEN.load(Relaxed).min(THREADS);
    SLOTS[..taken].iter().map(|slot| slot.0.load(Relaxed))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::handler_policy::Mode;

    #[test]
    fn another_thread_sees_the_innermost_handler_and_then_none() {
        static OUTER: HandlerPolicy = HandlerPolicy::new("outer", "a.rs", 1, Mode::Read);
        static INNER: HandlerPolicy = HandlerPolicy::new("inner", "a.rs", 2, Mode::Read);
        let seen = || {
            let of = |policy| polled().filter(|at| *at == address(policy)).count();
            (of(&OUTER), of(&INNER))
        };
        let (step, steps) = mpsc::channel();
        let (done, dones) = mpsc::channel();
        let polling = std::thread::spawn(move || {
            let next = || {
                done.send(()).unwrap();
                steps.recv().unwrap();
            };
            let outer = Polling::begin(&OUTER);
            next();
            let inner = Polling::begin(&INNER);
            next();
            inner.end();
            next();
            outer.end();
            next();
        });
        for expected in [(1, 0), (0, 1), (1, 0), (0, 0)] {
            dones.recv().unwrap();
            assert_eq!(seen(), expected);
            step.send(()).unwrap();
        }
        polling.join().unwrap();
    }
}
