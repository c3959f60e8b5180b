//! Runs a handler's body under its policy.
//!
//! `Inline` polls the body where it is, for bodies that may be dropped. `Boxed` polls it in
//! a box and, past the point of no return, hands the box to the runtime when the wait ends
//! before the body does: from `poll` at a deadline, from `Drop` at a disconnect.
//!
//! [`Core`] is what both share. Invariants:
//!
//! 1. The ambient request says that a body runs exactly while it is polled or dropped. A nested
//!    core puts its own frame there for that time, and takes it out again.
//! 2. The body is polled first, the signals second: completion wins a tie (law 2).
//! 3. `past` goes from false to true only at a checkpoint that has read every signal and holds a
//!    permit, within the body's own poll. A body that is `past` is never dropped by a runner
//!    unless it is reopened, or the grace is over.
//! 4. A wait that ended early is reported once, by whoever ended it.

mod begin;
mod boxed;
mod compensation;
mod core;
mod detached;
mod enter_exit;
mod governed;
mod hand_over;
mod inline;
mod judge;
mod site;

#[cfg(feature = "testing")]
pub use self::boxed::break_rescue;
pub use self::{
    boxed::run_boxed,
    compensation::{Compensate, Compensation, CompensationOutput, NoCompensation, compensate},
    governed::{Answer, Governed},
    inline::{run_exempt, run_inline},
    site::{bound, enter, reopen},
};
