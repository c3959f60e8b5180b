//! What a runner asks of its request at every turn of the body: in the common case one look before
//! the poll, and one after it.

use std::task::Waker;

use tokio::time::Instant;

use super::{Alarm, Ambient, Body, Frame, Stage, next_id};
use crate::{
    lifecycle::{InFlight, WorkKind},
    policy::{HandlerPolicy, Mode, Place},
};

impl Ambient {
    /// Begins the first poll of a body where nothing stands against it and nothing is to be
    /// prepared, and gives its number; `None` leaves it to the long way.
    #[inline]
    pub(crate) fn begin_plain(&mut self, policy: &'static HandlerPolicy) -> Option<u64> {
        let free =
            self.body.stage == Stage::Vacant && self.cause().is_none() && self.life().is_plain();
        if !free {
            return None;
        }
        if !policy.is_plain() || self.deadline.is_some() {
            return self.begin_prepared(policy);
        }
        let id = next_id();
        self.body.renew(Frame::new(policy, None), id);
        self.body.stage = Stage::Polled;
        Some(id)
    }

    /// The same with a deadline, or with a permit of the service alone.
    #[inline]
    fn begin_prepared(&mut self, policy: &'static HandlerPolicy) -> Option<u64> {
        let durable = policy.mode() == Mode::DurableWrite;
        if policy.is_cooperative() || policy.needs().is_some() {
            return None;
        }
        let own = policy.deadline().and_then(|after| self.arrival().checked_add(after));
        let deadline = match (self.deadline, own) {
            (Some(deadline), Some(own)) => Some(deadline.min(own)),
            (deadline, own) => deadline.or(own),
        };
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return None;
        }
        let place = Place { policy, site: None };
        let permit = if durable {
            Some(InFlight::acquire(self.life(), place, WorkKind::Durable)?)
        } else {
            None
        };
        if deadline.is_some() && self.alarm.is_none() {
            self.alarm = self.alarms.as_ref().and_then(|alarms| alarms.take());
        }
        let id = next_id();
        self.body.renew(Frame { past: durable, ..Frame::new(policy, deadline) }, id);
        self.body.stage = Stage::Polled;
        if durable {
            self.body.permit = permit;
        }
        Some(id)
    }

    /// Whether there is nothing that a runner would have to judge after a poll.
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

    /// The request is over.
    #[inline]
    pub(super) fn keep_alarm(&mut self) {
        match &self.alarms {
            Some(alarms) => {
                self.alarm
                    .take()
                    .into_iter()
                    .for_each(|alarm| alarms.keep(alarm, !self.flags.http1));
            }
            None => self.alarm.iter_mut().for_each(Alarm::disarm),
        }
    }

    /// The alarm for its body, to be given back.
    pub(crate) fn take_alarm(&mut self) -> Alarm {
        let kept = || self.alarms.as_ref().and_then(|alarms| alarms.take());
        self.alarm.take().or_else(kept).unwrap_or_default()
    }
}
