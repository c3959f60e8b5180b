//! The timer of a request's deadline, and the signals that a runner reads after a pending poll.

use std::task::Waker;

use super::{body::Body, context::RequestContext};
use crate::alarm::Alarm;

impl RequestContext {
    /// Returns whether a runner has nothing to judge after a pending poll: no checkpoint has refused the body, no
    /// cause and no *stopping* has come, and the alarm covers the deadline.
    #[inline]
    pub(crate) fn is_quiet(&mut self, waker: &Waker) -> bool {
        let Body { frame, refused, .. } = &self.body;
        if refused.is_some() || self.cause().is_some() || self.life().is_stopping() {
            return false;
        }
        let Some(deadline) = frame.deadline else { return true };
        if self.alarm.is_none() {
            self.alarm = self.on().and_then(|on| on.alarms().take());
        }
        self.alarm.as_ref().is_some_and(|alarm| alarm.covers(deadline, waker))
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
