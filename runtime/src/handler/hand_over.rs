//! The order in which work hands over to other work.

/// Registers what comes next, and only then lets go of what was: between the two a drain would
/// find nothing, and end.
#[inline]
pub(crate) fn hand_over(register: impl FnOnce(), abandon_all: impl FnOnce()) {
    register();
    abandon_all();
}
