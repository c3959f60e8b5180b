//! The futures and guards of annotated statements.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::{begin::cross_point_of_no_return, keyed::poll_unclaimed};
use crate::{
    handler_policy::{Place, Site},
    request::{self, Commitment, RequestContext},
    service::WorkKind,
};

/// Enters a durable site, the request's point of no return. If the checkpoint refuses, the future never resolves
/// and the runner drops the body.
#[doc(hidden)]
pub fn enter(site: &'static Site) -> Enter {
    Enter { site }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct Enter {
    site: &'static Site,
}

impl Future for Enter {
    type Output = DurableGuard;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<DurableGuard> {
        let passed = request::with(|request| {
            request.body.key.is_none().then(|| checkpoint(request, self.site))
        });
        let passed = match passed {
            Some(None) => ready!(claim_and_enter(self.site, cx)),
            Some(Some(passed)) => passed,
            None => true,
        };
        if passed { Poll::Ready(DurableGuard { _private: () }) } else { Poll::Pending }
    }
}

/// Enters a site of a body with a key, which the first site claims.
#[cold]
fn claim_and_enter(site: &'static Site, cx: &mut Context<'_>) -> Poll<bool> {
    ready!(poll_unclaimed(cx, Some(site)));
    Poll::Ready(request::with(|request| checkpoint(request, site)) == Some(true))
}

fn checkpoint(request: &mut RequestContext, site: &'static Site) -> bool {
    let place = Place { policy: request.body.frame.policy, site: Some(site) };
    let passed = cross_point_of_no_return(request, place, WorkKind::Durable);
    let body = &mut request.body;
    match passed {
        Ok(()) => body.frame.site = Some(site),
        Err(refused) => body.refused = Some(refused),
    }
    body.refused.is_none()
}

/// Guards the statement of a durable site.
#[doc(hidden)]
#[derive(Debug)]
pub struct DurableGuard {
    _private: (),
}

impl Drop for DurableGuard {
    fn drop(&mut self) {
        request::with_body(|body| body.frame.site = None);
    }
}

/// Enters a cancellable site, in which the request may end even past the point of no return.
#[doc(hidden)]
pub fn allow_cancellation(_: &'static Site, within: Option<Duration>) -> ScopedDeadline {
    ScopedDeadline { reopens: true, within, entered: None }
}

/// Enters a statement with its own deadline.
#[doc(hidden)]
pub fn bound(_: &'static Site, within: Duration) -> ScopedDeadline {
    ScopedDeadline { reopens: false, within: Some(within), entered: None }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct ScopedDeadline {
    reopens: bool,
    within: Option<Duration>,
    entered: Option<CancellableGuard>,
}

impl Future for ScopedDeadline {
    type Output = CancellableGuard;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<CancellableGuard> {
        if self.entered.is_none() {
            self.entered = CancellableGuard::enter(self.reopens, self.within);
            // A request whose wait has ended is cut here, by its runner after this poll. The runner of a nested
            // handler does not cut the request.
            let ended = self.reopens
                && request::with_body(|body| {
                    let late = body.frame.deadline.is_some_and(|at| Instant::now() >= at);
                    let reopened = body.commitment_of_running_code() == Commitment::Reopened;
                    reopened && (body.detached || late)
                }) == Some(true);
            if ended {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.entered.take().unwrap_or(CancellableGuard { before: None }))
    }
}

/// Guards the statement of a cancellable site, and restores the outer state on drop.
#[doc(hidden)]
#[derive(Debug)]
pub struct CancellableGuard {
    before: Option<(bool, bool, Option<Instant>)>,
}

impl CancellableGuard {
    fn enter(reopens: bool, within: Option<Duration>) -> Option<Self> {
        request::with_body(|body| {
            let frame = &mut body.frame;
            let before = Some((frame.reopened, frame.narrowed, frame.deadline));
            frame.reopened |= reopens;
            if let Some(within) = within {
                let own = Instant::now() + within;
                frame.narrowed |= frame.deadline.is_none_or(|outer| own < outer);
                frame.deadline = Some(frame.deadline.map_or(own, |outer| outer.min(own)));
            }
            Self { before }
        })
    }
}

impl Drop for CancellableGuard {
    fn drop(&mut self) {
        if let Some((reopened, narrowed, deadline)) = self.before.take() {
            request::with_body(|body| {
                body.frame.reopened = reopened;
                body.frame.narrowed = narrowed;
                body.frame.deadline = deadline;
            });
        }
    }
}
