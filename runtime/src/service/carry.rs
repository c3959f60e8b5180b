//! Task-locals that follow a body when it outlives its request.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::spawn::BoxFuture;
use crate::{escaped::Escaped, panic_message::panic_message};

type Wrap = Box<dyn FnOnce(BoxFuture) -> BoxFuture>;

/// One task-local to carry over.
pub(crate) trait Carry: Send + Sync {
    /// Reads the value in the task of the request. Returns a wrapper that sets it around the body's own task.
    fn capture(&self) -> Option<Wrap>;
}

pub(crate) struct Key<T: 'static>(pub(crate) &'static tokio::task::LocalKey<T>);

impl<T: Clone + Send + 'static> Carry for Key<T> {
    fn capture(&self) -> Option<Wrap> {
        let Self(key) = *self;
        let value = key.try_with(T::clone).ok()?;
        Some(Box::new(move |future| Box::pin(key.scope(value, future))))
    }
}

/// Wraps `future` so that it runs with the current values of all `keys`.
pub(crate) fn carry(keys: &[Box<dyn Carry>], future: BoxFuture) -> BoxFuture {
    // This may run in a destructor, where a second panic would end the process.
    let capture = |key: &dyn Carry| {
        catch_unwind(AssertUnwindSafe(|| key.capture())).unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            tracing::error!(target: "followthrough", "a carried value could not be cloned: {}", Escaped(message));
            None
        })
    };
    keys.iter().filter_map(|key| capture(&**key)).fold(future, |future, wrap| wrap(future))
}
