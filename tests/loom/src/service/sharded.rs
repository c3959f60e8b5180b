//! Two shards, of which a model gives one to each thread.

use std::cell::Cell;

const SHARDS: u16 = 2;

loom::thread_local! {
    static SHARD: Cell<u16> = Cell::new(0);
}

/// Gives this thread the shard `shard`.
pub(crate) fn on_shard(shard: u16) {
    SHARD.with(|own| own.set(shard));
}

pub(super) fn shard_of_thread() -> u16 {
    SHARD.with(Cell::get)
}

#[derive(Debug)]
pub(super) struct Sharded<T>([T; SHARDS as usize]);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| T::default()))
    }
}

impl<T> Sharded<T> {
    pub(super) fn get(&self, shard: u16) -> &T {
        &self.0[usize::from(shard)]
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}
