//! Requests that no layer of ours has seen.

use std::sync::Once;

use super::{PooledRequest, Scope, is_present};

/// The request of a runner that no layer of ours has seen.
pub(crate) type UnlinkedRequest = Option<PooledRequest>;

/// Makes sure that there is a request: the ambient one, or one of the runner's own.
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
