//! What a check gives back, and what becomes of one that panics.

use std::{
    fmt::Debug,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use crate::runner::panic_message;

/// What a check may return: nothing, for one that asserts, or a `Result`, for one that uses `?`.
pub trait Verdict {
    /// What is wrong, if something is.
    #[doc(hidden)]
    fn complaint(self) -> Option<String>;
}

impl Verdict for () {
    fn complaint(self) -> Option<String> {
        None
    }
}

impl<E: Debug> Verdict for Result<(), E> {
    fn complaint(self) -> Option<String> {
        self.err().map(|error| format!("{error:?}"))
    }
}

/// Runs a check to its end; gives what it says is wrong, or panicked with.
pub(super) async fn complaint<V: Verdict>(check: impl Future<Output = V>) -> Option<String> {
    let mut check = pin!(check);
    poll_fn(|cx| {
        // It is not polled again after a panic.
        match catch_unwind(AssertUnwindSafe(|| check.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(verdict)) => Poll::Ready(verdict.complaint()),
            Err(panic) => Poll::Ready(Some(panic_message(&*panic).to_owned())),
        }
    })
    .await
}
