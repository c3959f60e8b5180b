//! The handler that each thread polls, so that the watchdog of a drain can name a handler that blocks.
//!
//! A poll costs two relaxed stores to a cache line that no other thread writes.
//!
//! Invariants:
//!
//! 1. A slot is written only by its thread, and read by the watchdog, because [`THREADS`] threads get a slot each.
//!    Later threads share slots, and then a name can get lost.
//! 2. The end of a nested poll restores the policy of its caller, so the slot has the innermost handler.

use std::{
    cell::Cell,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::handler_policy::HandlerPolicy;

const THREADS: usize = 256;

/// The address of the policy whose body a thread polls; zero for none. The watchdog compares addresses, because
/// safe code cannot turn one back into a reference.
#[derive(Debug)]
#[repr(align(64))]
struct Slot(AtomicUsize);

static SLOTS: [Slot; THREADS] = [const { Slot(AtomicUsize::new(0)) }; THREADS];
/// The number of threads that have taken a slot.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWN: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

/// The poll of a body by this thread, until [`end`](Self::end).
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

/// Returns the address by which [`polled`] names a policy.
#[inline]
pub(crate) fn address(policy: &'static HandlerPolicy) -> usize {
    ptr::from_ref(policy).addr()
}

/// Returns, for each thread that has polled a body, the address of the policy that it polls now, or zero.
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
