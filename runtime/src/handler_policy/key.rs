//! The policy of idempotency keys.

use std::time::Duration;

/// The options of a handler's idempotency keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    required: bool,
    keep: Duration,
    after_crash: AfterCrash,
    takes_key: bool,
}

/// The treatment of a keyed write whose process has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterCrash {
    Unknown,
    /// `after_crash = "again"`
    Again,
    /// The body calls `finish_in`, so a record without an answer proves that nothing has landed.
    Proven,
}

impl KeyPolicy {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(required: bool) -> Self {
        Self {
            required,
            keep: Duration::from_secs(24 * 3600),
            after_crash: AfterCrash::Unknown,
            takes_key: false,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn again_after_crash(mut self) -> Self {
        self.after_crash = AfterCrash::Again;
        self
    }

    /// Notes that the body calls `finish_in`.
    #[doc(hidden)]
    #[must_use]
    pub const fn finishing_in_transaction(mut self) -> Self {
        self.after_crash = AfterCrash::Proven;
        self
    }

    /// Notes whether the handler has a parameter `IdempotencyKey`.
    #[doc(hidden)]
    #[must_use]
    pub const fn taking_key(mut self, takes_key: bool) -> Self {
        self.takes_key = takes_key;
        self
    }

    /// Returns whether a request without a key is refused.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.required
    }

    /// Returns the value of `idempotency_key`: `required` or `optional`.
    pub(crate) const fn requirement(&self) -> &'static str {
        if self.required { "required" } else { "optional" }
    }

    /// Returns how long an answer is kept for retries.
    #[must_use]
    pub const fn kept(&self) -> Duration {
        self.keep
    }

    /// Returns whether a write whose process has died may run again: because the attribute says
    /// `after_crash = "again"`, or because `finish_in` proves that nothing of it has landed.
    #[must_use]
    pub const fn runs_again(&self) -> bool {
        !matches!(self.after_crash, AfterCrash::Unknown)
    }

    /// Returns whether the attribute says `after_crash = "again"`.
    pub(crate) const fn is_repeatable(&self) -> bool {
        matches!(self.after_crash, AfterCrash::Again)
    }

    /// Returns whether the write runs again after a crash because its body calls `finish_in`.
    pub(crate) const fn relies_on_transaction(&self) -> bool {
        matches!(self.after_crash, AfterCrash::Proven)
    }

    /// Returns whether the handler has a parameter `IdempotencyKey`, which reads the key.
    pub(crate) const fn takes_key(&self) -> bool {
        self.takes_key
    }
}
