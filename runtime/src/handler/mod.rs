//! Runs a handler's body under its policy.
//!
//! [`Run`](run::Run) is the future of a handler. A [`Slot`](run::Slot) keeps its body: in place, for bodies that may
//! be dropped, or in a box that, past the point of no return, goes to the runtime when the wait ends before the
//! body does: from `poll` at a deadline, from `Drop` at a disconnect. [`Core`](core::Core) is what stands around the
//! body at each poll. Invariants:
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
mod in_place;
mod judge;
mod run;
mod site;

#[cfg(feature = "testing")]
pub use self::boxed::break_rescue;
pub use self::{
    boxed::run_boxed,
    compensation::{Compensate, Compensation, CompensationOutput, NoCompensation, compensate},
    governed::{Answer, Governed},
    in_place::run_inline,
    run::run_exempt,
    site::{bound, enter, reopen},
};
