//! The progress of a request before the body of its handler begins (law 3).
//!
//! Middleware and extractors may wait as long as a body can, and no lasting work has begun meanwhile. So
//! the deadline, *stopping* and a client that leaves end the request there, too.
//!
//! A plain axum router does not distinguish handlers with a policy from handlers without, and the runtime never
//! ends a handler without a policy. So in such a router only the wait for the bytes of an upload is ended.
//!
//! Invariant: another task may set `handed_on` while this request is pending. It is set once and never cleared, so
//! a request that reads it set is not ended here any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Context,
};

use tokio::time::Instant;

use super::{body::Stage, context::RequestContext};
use crate::{
    cause::Cause,
    handler_policy::{HandlerPolicy, Mode},
};

/// The place of a request on its way to the body of its handler.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Progress {
    /// In middleware, in extractors, or in a handler without a policy. No `followthrough::Router` has seen it.
    #[default]
    Unknown,
    /// In the middleware of a router in which every handler has a policy.
    Middleware,
    /// In the extractors of this handler.
    Handler(&'static HandlerPolicy),
    /// In a route or a handler without a policy, which may have begun any work.
    Ungoverned,
    /// A body with a policy has begun.
    Begun,
}

impl RequestContext {
    /// Notes the progress of a request in a `followthrough::Router`. A handler that middleware has called before,
    /// and that has ended, does not count as begun.
    pub(crate) fn advance_to(&mut self, progress: Progress) {
        let called_before = self.body.has_begun()
            && self.body.stage == Stage::Vacant
            && !self.body.past
            && !self.flags.may_land;
        if called_before || !matches!(self.progress, Progress::Begun) {
            self.progress = progress;
        }
    }

    /// Notes that a `followthrough::Router` passes the request to this handler.
    pub(crate) fn routed_to(&mut self, policy: &'static HandlerPolicy) {
        if policy.key().is_none() {
            // The key means nothing to the handler, so its body is not hashed.
            self.attempt = None;
        }
        self.advance_to(match policy.mode() {
            Mode::Exempt => Progress::Ungoverned,
            _ => Progress::Handler(policy),
        });
    }

    /// Returns the flag that is set once middleware has spawned the rest of the request in another task, where its
    /// handler runs without this request.
    pub(crate) fn handed_on(&mut self) -> Arc<AtomicBool> {
        self.handed_on.get_or_insert_default().clone()
    }

    /// Returns whether the request may end now because the body of its handler has not begun.
    pub(crate) fn is_before_its_body(&self) -> bool {
        match self.progress {
            Progress::Unknown => self.flags.awaits_upload,
            Progress::Middleware => {
                !self.handed_on.as_ref().is_some_and(|handed_on| handed_on.load(Ordering::Acquire))
            }
            Progress::Handler(_) => true,
            Progress::Ungoverned | Progress::Begun => false,
        }
    }

    /// Returns, after a poll that was pending, the cause that ends a request whose handler's body has not begun.
    /// Otherwise wakes `cx` at its deadline.
    #[inline]
    pub(crate) fn ends_before_its_body(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        if self.is_before_its_body() { self.look_before_its_body(cx) } else { None }
    }

    #[inline(never)]
    fn look_before_its_body(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        if let Some(cause) = self.cause() {
            return Some(cause);
        }
        if self.life().is_stopping() {
            return Some(Cause::ShuttingDown);
        }
        let deadline = self.deadline_before_its_body()?;
        let covered = self.alarm.as_ref().is_some_and(|alarm| alarm.covers(deadline, cx.waker()));
        if covered {
            return None;
        }
        let handler = self.policy().map_or("a handler", HandlerPolicy::name);
        let mut alarm = self.take_alarm();
        let late = alarm.rings(deadline, handler, cx);
        self.alarm = Some(alarm);
        late.then_some(Cause::DeadlineExceeded)
    }

    fn deadline_before_its_body(&self) -> Option<Instant> {
        match self.progress {
            Progress::Handler(policy) => self.deadline_of(policy),
            _ => self.deadline,
        }
    }
}
