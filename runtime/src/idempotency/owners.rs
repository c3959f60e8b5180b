//! The processes that share a store, and which of them are alive.
//!
//! A process is dead once its heartbeat has stood still for three periods by the clock of the process that looks. So
//! no two clocks are compared. A process that has not looked for a while, because it or the store had stopped, starts its
//! observation again. Otherwise its own pause would make other processes look dead.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hasher as _},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{Heartbeat, key::hex_of};

#[derive(Debug)]
pub(super) struct Owners {
    me: String,
    every: Duration,
    seen: Mutex<Observed>,
}

#[derive(Debug, Default)]
struct Observed {
    /// When the heartbeats were read last.
    at: Option<Instant>,
    owners: HashMap<String, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    beats: u64,
    /// When the number was read for the first time.
    since: Instant,
}

/// Whether an owner is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    Dead,
    /// The owner was not in the last list of heartbeats.
    Absent,
}

impl Owners {
    pub(super) fn new(heartbeat: Duration) -> Self {
        Self { me: new_name(), every: heartbeat, seen: Mutex::default() }
    }

    /// Returns the name of this process, which no other process has.
    pub(super) fn me(&self) -> &str {
        &self.me
    }

    /// Notes all heartbeats of a store.
    pub(super) fn note(&self, heartbeats: Vec<Heartbeat>) {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let in_time = |at: Instant| now.duration_since(at) <= self.every * 2;
        let observes = seen.at.is_some_and(in_time);
        let mut owners = HashMap::with_capacity(heartbeats.len());
        for Heartbeat { owner, beats } in heartbeats {
            let before = seen.owners.get(&owner).filter(|before| observes && before.beats == beats);
            let before = before.copied();
            owners.insert(owner, before.unwrap_or(Seen { beats, since: now }));
        }
        *seen = Observed { at: Some(now), owners };
    }

    pub(super) fn life_of(&self, owner: &str) -> Life {
        if owner == self.me {
            return Life::Alive;
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.owners.get(owner) {
            None => Life::Absent,
            Some(seen) if seen.since.elapsed() > self.every * 3 => Life::Dead,
            Some(_) => Life::Alive,
        }
    }
}

/// Returns the number of this process and 16 random digits, which no other call returns.
pub(crate) fn new_name() -> String {
    // The keys of `RandomState` are the standard library's only random numbers.
    let mut hasher = RandomState::new().build_hasher();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    hasher.write_u128(since.as_nanos());
    format!("{}-{}", std::process::id(), hex_of(&hasher.finish().to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_process_is_dead_once_its_heartbeat_stands_still() {
        let owners = Owners::new(Duration::from_secs(5));
        let beat = |beats| owners.note(vec![Heartbeat::new("other".into(), beats)]);
        assert_eq!(owners.life_of("other"), Life::Absent);
        beat(1);
        for beats in [2, 2, 2, 2] {
            tokio::time::advance(Duration::from_secs(5)).await;
            assert_eq!(owners.life_of("other"), Life::Alive);
            beat(beats);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(owners.life_of("other"), Life::Dead);
        beat(3);
        assert_eq!(owners.life_of("other"), Life::Alive);
        owners.note(Vec::new());
        assert_eq!(owners.life_of("other"), Life::Absent);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_has_not_looked_declares_no_other_dead() {
        let owners = Owners::new(Duration::from_secs(5));
        let beat = |beats| owners.note(vec![Heartbeat::new("other".into(), beats)]);
        beat(1);
        // This process, or the store, has stopped for a minute.
        tokio::time::advance(Duration::from_secs(60)).await;
        beat(1);
        assert_eq!(owners.life_of("other"), Life::Alive);
        for _ in 0..4 {
            tokio::time::advance(Duration::from_secs(4)).await;
            beat(1);
        }
        assert_eq!(owners.life_of("other"), Life::Dead);
    }
}
