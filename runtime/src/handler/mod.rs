//! Runs a handler's body under its policy.
//!
//! [`Run`](run::Run) is the future of a handler. A [`Slot`](run::Slot) keeps its body, either in place or in a
//! box. Past the point of no return the box is handed to the runtime when the wait ends before the body: from
//! `poll` at a deadline, from `Drop` at a disconnect. [`Core`](core::Core) holds the runner's state between polls.
//!
//! ```text
//! Run::poll
//!    ├─ first poll: begin: reads every signal and takes the permit                   refused ──▶ 503, 504
//!    ├─ install ──▶ poll the body ──▶ uninstall                                      ready ────▶ its value
//!    └─ pending: judge looks at disconnect, deadline and stopping, and asks Commitment
//!         ├─ nothing ends the wait                                                   ─────────▶ pending
//!         ├─ End::Cut: drop the body, begin its compensations                        ─────────▶ 499, 503, 504
//!         └─ End::Detach: the body goes on as a task                                 ─────────▶ 504
//! Run::drop: the client left; the same two ends without an answer
//! ```
//!
//! Invariants:
//!
//! 1. The current request marks a body as running exactly while that body is polled or dropped, because tokens,
//!    sites and guards look it up there. A nested core swaps its own frame in for that time.
//! 2. The body is polled before its signals are read, because completion wins a tie (law 2).
//! 3. `Body::past` goes from false to true only at a checkpoint that has read every signal and holds a
//!    permit, within the body's own poll. A body that is `past` is never dropped by a runner
//!    unless it is reopened, or the grace is over.
//! 4. A wait that ends early is reported once, because `report` sets `Flags::reported` first.

mod begin;
mod boxed;
mod compensation;
mod core;
mod detached;
mod enter_exit;
mod governed;
mod hand_over;
mod in_place;
mod into_result_first;
mod judge;
mod key_extractor;
mod key_parameter;
mod keyed;
mod panics;
mod run;
mod site;

#[cfg(feature = "testing")]
pub use self::boxed::break_rescue;
pub use self::{
    boxed::run_boxed,
    compensation::{Compensate, Compensation, CompensationOutput, NoCompensation, compensate},
    governed::{Answer, Governed},
    in_place::run_inline,
    into_result_first::IntoResultFirst,
    key_parameter::{NoKey, Parameter},
    keyed::run_keyed,
    run::run_exempt,
    site::{allow_cancellation, bound, enter},
};
