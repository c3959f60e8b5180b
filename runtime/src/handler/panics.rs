//! The log events of panics in a handler's body.

use std::any::Any;

use crate::{
    escaped::Escaped, handler_policy::HandlerPolicy, panic_message::panic_message, repeated::Event,
    request::repeated,
};

/// The hint that follows the message of a panic in a detached body.
const CARRY: &str = "; its request was over, and with it the task-locals that middleware had set \
                     around it: name the key with `Lifecycle::builder().carry(&KEY)`";

/// Returns whether `message` is the panic of a `tokio::task_local!` without a value: of `with` or `get`, or of
/// unwrapping the error of `try_with`.
fn lacks_task_local(message: &str) -> bool {
    message.contains("task-local") || message.contains("AccessError")
}

/// Logs a panic of the body. `detached` says whether its request is over.
pub(super) fn log_body(policy: &'static HandlerPolicy, message: &str, detached: bool) {
    let hint = if detached && lacks_task_local(message) { CARRY } else { "" };
    let message = message.to_owned();
    repeated(Event::Panicked, policy).note(move |count| {
        tracing::error!(
            target: "followthrough",
            handler = policy.name(),
            count,
            "the handler panicked: {}{hint}",
            Escaped(message)
        );
    });
}

/// Logs a panic of a destructor of a body that was cut.
pub(super) fn log_destructor(policy: &'static HandlerPolicy, panic: &(dyn Any + Send)) {
    let message = panic_message(panic).to_owned();
    repeated(Event::DestructorPanicked, policy).note(move |count| {
        tracing::error!(
            target: "followthrough",
            handler = policy.name(),
            count,
            "a destructor panicked when the handler was cut: {}",
            Escaped(message)
        );
    });
}
