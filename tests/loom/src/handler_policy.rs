//! A handler's name and limit.

use std::fmt;

#[derive(Debug)]
pub(crate) struct HandlerPolicy {
    limit: Option<usize>,
}

impl HandlerPolicy {
    /// Returns a policy that lives for the rest of the run.
    pub(crate) fn with_limit(limit: Option<usize>) -> &'static Self {
        Box::leak(Box::new(Self { limit }))
    }

    #[expect(clippy::unused_self, reason = "as the runtime's")]
    pub(crate) const fn name(&self) -> &'static str {
        "handler"
    }

    pub(crate) const fn max_in_flight(&self) -> Option<usize> {
        self.limit
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
