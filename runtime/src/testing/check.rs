//! The verdicts of checks.

use std::{
    fmt::Display,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use crate::panic_message::panic_message;

/// A return type of checks: `()` for a check that asserts, or a `Result` for a check that uses `?`.
#[diagnostic::on_unimplemented(
    message = "a check cannot return `{Self}`",
    label = "expected nothing, or a `Result<(), E>` whose `E` is printed",
    note = "assert in the check, as in `async |_| assert!(shop.is_whole())`, or end it with `Ok::<(), E>(())`"
)]
pub trait Verdict {
    /// Returns the complaint, if there is one.
    #[doc(hidden)]
    fn complaint(self) -> Option<String>;
}

impl Verdict for () {
    fn complaint(self) -> Option<String> {
        None
    }
}

impl<E: Display> Verdict for Result<(), E> {
    fn complaint(self) -> Option<String> {
        // The alternate form includes the sources, for errors that support it.
        self.err().map(|error| format!("{error:#}"))
    }
}

/// Runs a check to its end. Returns its complaint or its panic message.
pub(super) async fn complaint<V: Verdict>(check: impl Future<Output = V>) -> Option<String> {
    let mut check = pin!(check);
    poll_fn(|cx| {
        // A check that panicked is not polled again.
        match catch_unwind(AssertUnwindSafe(|| check.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(verdict)) => Poll::Ready(verdict.complaint()),
            Err(panic) => Poll::Ready(Some(panic_message(&*panic).to_owned())),
        }
    })
    .await
}
