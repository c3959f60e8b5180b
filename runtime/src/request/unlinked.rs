//! Requests that no server and no layer has received.

use std::sync::Once;

use super::{PooledRequest, Scope, is_present};

/// The runner's own request, if no server and no layer has received one.
pub(crate) type UnlinkedRequest = Option<PooledRequest>;

/// Makes sure that there is a current request. Enters the runner's own, unless there is one already.
#[inline]
pub(crate) fn scope(own: &mut UnlinkedRequest) -> Option<Scope<'_>> {
    if own.is_none() && is_present() { None } else { Some(own_scope(own)) }
}

#[cold]
fn own_scope(own: &mut UnlinkedRequest) -> Scope<'_> {
    if own.is_none() {
        warn_unlinked();
        *own = Some(PooledRequest::unlinked());
    }
    Scope::enter(own)
}

/// Warns once that a request belongs to no lifecycle.
pub(crate) fn warn_unlinked() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            target: "followthrough",
            "a request runs without a lifecycle: its governed handlers end by their own deadlines or with \
             their future, and their tokens do not fire at shutdown. A shutdown waits for \
             their durable work and counts it apart, as `unlinked`. Serve the request with \
             `followthrough::serve`, or make `lifecycle.layer()` the outermost layer, and do not spawn the \
             rest of a request in middleware"
        );
    });
}
