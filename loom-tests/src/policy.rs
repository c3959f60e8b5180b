//! A handler's name and limit.

use std::fmt;

use crate::sync::atomic::AtomicUsize;

#[derive(Debug)]
pub(crate) struct HandlerPolicy {
    limit: Option<usize>,
    pub(crate) in_flight: AtomicUsize,
}

impl HandlerPolicy {
    /// One for the rest of the run: the runtime's own are in statics, which loom's atomics cannot be.
    pub(crate) fn with_limit(limit: Option<usize>) -> &'static Self {
        Box::leak(Box::new(Self { limit, in_flight: AtomicUsize::new(0) }))
    }

    #[expect(clippy::unused_self, reason = "as the runtime's")]
    pub(crate) const fn name(&self) -> &'static str {
        "handler"
    }

    pub(crate) fn own_limit(&self) -> Option<(usize, &AtomicUsize)> {
        self.limit.map(|limit| (limit, &self.in_flight))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) policy: &'static HandlerPolicy,
    pub(crate) site: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a.rs:{}", self.site.unwrap_or(1))
    }
}
