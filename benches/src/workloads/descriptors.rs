//! The limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptors that a process needs beside its connections.
const BESIDE: u64 = 100;

/// Raises the soft limit to the hard one, as far as the system permits.
pub(super) fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Under the old limit, a row that needs more is left out by name.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Returns how many of `wanted` connections a process may hold.
pub(super) fn at_most(wanted: u64) -> u64 {
    getrlimit(Resource::Nofile)
        .maximum
        .map_or(wanted, |limit| wanted.min(limit.saturating_sub(BESIDE)))
}
