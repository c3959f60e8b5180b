//! The fast path of a runner: in the common case, one call before the first poll of a body, and one after each
//! poll.

use std::task::Waker;

use tokio::time::Instant;

use super::{
    body::{Body, Frame, Stage, next_id},
    context::RequestContext,
    progress::Progress,
};
use crate::{
    alarm::Alarm,
    handler_policy::{HandlerPolicy, Mode, Place},
    service::{InFlight, WorkKind},
};

impl RequestContext {
    /// Begins the first poll of a body, and returns its number. Returns `None` if the body needs the slow path,
    /// which judges and prepares it.
    #[inline]
    pub(crate) fn begin_plain(&mut self, policy: &'static HandlerPolicy) -> Option<u64> {
        let free = self.body.stage == Stage::Vacant
            && !self.body.has_landed()
            && self.cause().is_none()
            && self.life().is_plain();
        if !free {
            return None;
        }
        if !policy.is_plain() || self.deadline.is_some() {
            return self.begin_prepared(policy);
        }
        Some(self.begin_with(Frame::new(policy, None)))
    }

    #[inline]
    fn begin_with(&mut self, frame: Frame) -> u64 {
        let id = next_id();
        self.body = Body::of(frame, id);
        self.body.stage = Stage::Polled;
        self.progress = Progress::Begun;
        id
    }

    /// Begins a body that has a deadline, or needs a permit.
    #[inline(never)]
    fn begin_prepared(&mut self, policy: &'static HandlerPolicy) -> Option<u64> {
        if policy.is_cooperative() || policy.needs().is_some() {
            return None;
        }
        let own = policy.deadline().and_then(|after| self.arrival().checked_add(after));
        let deadline = match (self.deadline, own) {
            (Some(deadline), Some(own)) => Some(deadline.min(own)),
            (deadline, own) => deadline.or(own),
        };
        if let Some(deadline) = deadline {
            if Instant::now() >= deadline {
                return None;
            }
            if self.alarm.is_none() {
                self.alarm = self.on().and_then(|on| on.alarms().take());
            }
        }
        if policy.mode() == Mode::DurableWrite {
            return self.begin_durable(policy, deadline);
        }
        if policy.compensates() {
            return self.begin_reversible(policy, deadline);
        }
        Some(self.begin_with(Frame::new(policy, deadline)))
    }

    #[inline(never)]
    fn begin_durable(
        &mut self,
        policy: &'static HandlerPolicy,
        deadline: Option<Instant>,
    ) -> Option<u64> {
        let place = Place { policy, site: None };
        let permit = InFlight::acquire(self.life(), place, WorkKind::Durable)?;
        let id = self.begin_with(Frame { past: true, ..Frame::new(policy, deadline) });
        self.body.permit = Some(permit);
        Some(id)
    }

    /// Begins a reversible body with a permit, which its compensation takes over.
    #[inline(never)]
    fn begin_reversible(
        &mut self,
        policy: &'static HandlerPolicy,
        deadline: Option<Instant>,
    ) -> Option<u64> {
        let place = Place { policy, site: None };
        let permit = InFlight::acquire(self.life(), place, WorkKind::Reversible)?;
        let id = self.begin_with(Frame::new(policy, deadline));
        self.body.permit = Some(permit);
        Some(id)
    }

    /// Returns whether a runner has nothing to judge after a pending poll: no checkpoint has refused the body, no
    /// cause and no *stopping* has come, and the alarm covers the deadline.
    #[inline]
    pub(crate) fn is_quiet(&self, waker: &Waker) -> bool {
        let Body { frame, refused, .. } = &self.body;
        let covers =
            |deadline| self.alarm.as_ref().is_some_and(|alarm| alarm.covers(deadline, waker));
        refused.is_none()
            && frame.deadline.is_none_or(covers)
            && self.cause().is_none()
            && !self.life().is_stopping()
    }

    /// Keeps the alarm of a request that is over, for the next request.
    #[inline]
    pub(crate) fn keep_alarm(&mut self) {
        let Some(mut alarm) = self.alarm.take() else { return };
        if let Some(on) = self.on() {
            on.alarms().keep(alarm, !self.flags.http1);
        } else {
            alarm.disarm();
            self.alarm = Some(alarm);
        }
    }

    /// Takes the alarm of the request, or a kept or new one.
    pub(crate) fn take_alarm(&mut self) -> Alarm {
        let alarm = self.alarm.take();
        alarm.or_else(|| self.on()?.alarms().take()).unwrap_or_default()
    }
}
