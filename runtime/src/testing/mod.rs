//! What tests of a service need; with the feature `testing`.

mod broken;

#[doc(hidden)]
pub use broken::break_rescue;
pub(crate) use broken::is_rescue_broken;
