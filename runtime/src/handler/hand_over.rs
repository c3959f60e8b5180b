//! The order in which finished work hands over to its successor.

/// Registers the next work before it releases the previous work, because a drain that finds neither would end.
#[inline]
pub(crate) fn hand_over(register: impl FnOnce(), release: impl FnOnce()) {
    register();
    release();
}
