//! A switch that breaks the runtime, so that a test of it can show that it would notice.

use std::sync::atomic::{AtomicBool, Ordering};

static BROKEN: AtomicBool = AtomicBool::new(false);

/// From here on, and in the whole process, a body that is dropped past its point of no return is lost.
#[doc(hidden)]
pub fn break_rescue() {
    BROKEN.store(true, Ordering::SeqCst);
}

pub(crate) fn is_rescue_broken() -> bool {
    BROKEN.load(Ordering::SeqCst)
}
