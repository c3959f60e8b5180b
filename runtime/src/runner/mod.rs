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
mod hand_over;
mod inline;
mod judge;
mod report;
mod signals;
mod turn;

pub(crate) use begin::pass;
pub use boxed::run_boxed;
pub use compensation::{Compensate, Compensation, CompensationOutput, NoCompensation, compensate};
use core::Core;
pub use inline::{run_exempt, run_inline};
pub(crate) use report::{panic_message, report, report_stream};

use std::sync::Once;

use crate::ambient::{self, Ongoing, Scope};

/// The request of a runner that no layer of ours has seen.
pub(crate) type Own = Option<Ongoing>;

/// Makes sure that there is a request: the ambient one, or one of the runner's own.
#[inline]
pub(crate) fn scope(own: &mut Own) -> Option<Scope<'_>> {
    if own.is_none() && ambient::is_present() { None } else { Some(own_scope(own)) }
}

#[cold]
fn own_scope(own: &mut Own) -> Scope<'_> {
    if own.is_none() {
        warn_unlinked();
        *own = Some(Ongoing::unlinked());
    }
    Scope::enter(own)
}

/// Says once that a request belongs to no lifecycle.
pub(crate) fn warn_unlinked() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            target: "followthrough",
            "a request runs without a lifecycle: its governed handlers obey their own deadlines only, are \
             dropped with their future alone, and do not hear that the service stops. A shutdown waits for \
             their durable work and counts it apart, as `unlinked`. Serve the request with \
             `followthrough::serve`, or put `lifecycle.layer()` outermost, and do not spawn the rest of a \
             request in middleware"
        );
    });
}
