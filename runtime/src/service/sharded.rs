//! A fixed number of shards, picked by thread, so that two threads seldom touch the same one.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU16, Ordering},
};

const SHARDS: u16 = 16;

thread_local! {
    static SHARD: Cell<u16> = const { Cell::new(u16::MAX) };
}

/// Returns the shard of this thread. Threads get shards in turn, at their first call.
#[inline]
pub(crate) fn shard_of_thread() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    SHARD
        .try_with(|shard| {
            if shard.get() == u16::MAX {
                shard.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
            }
            shard.get()
        })
        .unwrap_or(0)
}

/// A `T` for each shard.
#[derive(Debug)]
pub(crate) struct Sharded<T>([Line<T>; SHARDS as usize]);

/// A shard on cache lines of its own. It takes two lines, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Line::default()))
    }
}

impl<T> Sharded<T> {
    #[inline]
    pub(crate) fn get(&self, shard: u16) -> &T {
        &self.0[usize::from(shard % SHARDS)].0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|line| &line.0)
    }
}
