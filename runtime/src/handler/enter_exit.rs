//! Moves a body's state into the current request before a poll, and back into its runner after it.

use std::{mem, task::Waker};

use super::core::{Core, LastPoll, Nested, Passed, Role, Uncommon};
use crate::{
    handler_policy::Mode,
    request::{self, Body, Frame, RequestContext, Stage},
    service::{InFlight, OwnPermit, WorkKind},
};

impl Core {
    #[inline]
    fn install_primary(&mut self, request: &mut RequestContext, stage: Stage) -> bool {
        let body = &mut request.body;
        let is_own = body.id == self.id;
        if is_own {
            body.stage = stage;
            // Most bodies hold no permit, and a branch costs less than the move.
            if self.permit.is_some() {
                body.permit = self.permit.take();
            }
        }
        is_own
    }

    /// Moves the body's state into the request before its code runs.
    #[inline]
    pub(super) fn install(&mut self, stage: Stage) {
        let installed = self.role == Role::Primary
            && request::with(|request| self.install_primary(request, stage)) == Some(true);
        if !installed {
            self.install_uncommon(stage);
        }
    }

    #[cold]
    fn install_uncommon(&mut self, stage: Stage) {
        let role = self.role;
        let permit = &mut self.permit;
        let Uncommon { body, nested, .. } = &mut **self.uncommon.get_or_insert_default();
        let installed = request::with(|request| match role {
            Role::Secondary => {
                body.stage = stage;
                mem::swap(body, &mut request.body);
                mem::swap(permit, &mut request.body.permit);
                true
            }
            Role::Nested => {
                nested.stage = stage;
                let in_caller = request.body.is_running();
                if in_caller {
                    nested.swap(&mut request.body);
                }
                in_caller
            }
            Role::Primary => false,
            Role::New | Role::Over => true,
        });
        if installed == Some(false) {
            // The future was moved out of its request or its caller, into its own task for example. The runner
            // continues alone, with the state that it remembers.
            let body = self.remembered();
            let place = body.frame.place();
            if let Some(passed) = self.uncommon().nested.passed.take() {
                // The caller keeps the permit; an entry without one makes the drain wait for this body as well.
                let entry = InFlight::unlimited(passed.life, place, WorkKind::Durable);
                entry.counts_for(passed.own);
                self.permit = Some(entry);
            }
            self.stand_alone(body);
            self.install_uncommon(stage);
        }
    }

    /// Moves the body's state back after its code has run.
    pub(super) fn uninstall(&mut self) {
        if self.role == Role::Primary {
            self.uninstall_primary(false, Waker::noop());
        } else {
            self.uninstall_uncommon();
        }
    }

    /// Moves the state back into the request's own runner. A common body ends here when it is `ready`.
    #[inline]
    pub(super) fn uninstall_primary(&mut self, ready: bool, waker: &Waker) {
        let core = self;
        request::with(|request| core.uninstall_from(request, ready, waker));
    }

    #[inline]
    fn uninstall_from(&mut self, request: &mut RequestContext, ready: bool, waker: &Waker) {
        let body = &mut request.body;
        if ready && self.ends_plainly() {
            body.stage = Stage::Vacant;
            self.role = Role::Over;
            if body.permit.is_some() {
                self.permit = body.permit.take();
            }
            return;
        }
        body.stage = Stage::Parked;
        self.last = LastPoll { past: body.past, deadline: body.frame.deadline };
        if body.permit.is_some() {
            self.permit = body.permit.take();
        }
        self.quiet = request.is_quiet(waker);
    }

    /// Returns whether the end of the body has only its permit to give back.
    #[inline]
    fn ends_plainly(&self) -> bool {
        self.uncommon.is_none() && self.policy.mode() != Mode::Stream
    }

    #[cold]
    fn uninstall_uncommon(&mut self) {
        let role = self.role;
        let permit = &mut self.permit;
        let Uncommon { body, nested, .. } = &mut **self.uncommon.get_or_insert_default();
        let past = request::with(|request| match role {
            Role::Secondary => {
                mem::swap(permit, &mut request.body.permit);
                mem::swap(body, &mut request.body);
                body.stage = Stage::Parked;
                body.past
            }
            Role::Nested => {
                nested.swap(&mut request.body);
                let here = nested.passed.as_ref().map(|passed| passed.caller);
                if nested.frame.is_past_as_callee() && here != Some(request.body.id) {
                    // The body passed its point of no return in this poll, or runs in another caller now.
                    let own = nested.passed.take().map(|passed| passed.own);
                    nested.passed = Some(Passed::within(request, own.unwrap_or_default()));
                    request.body.past = true;
                    if request.body.permit.is_none() {
                        let (life, place) = (request.life().clone(), nested.frame.place());
                        let entry = InFlight::unlimited(life, place, WorkKind::Durable);
                        request.body.permit = Some(entry);
                    }
                }
                if !nested.frame.is_past_as_callee() {
                    // A lost claim has taken the point of no return back.
                    nested.passed = None;
                }
                nested.frame.is_past_as_callee()
            }
            Role::Primary | Role::New | Role::Over => false,
        });
        self.last.past = past == Some(true);
        self.quiet = false;
    }

    /// Takes the body's state, for a task that continues it.
    pub(super) fn extract(&mut self) -> (Body, Option<InFlight>) {
        let body = match self.role {
            Role::Primary => {
                request::with(|request| (request.body.id == self.id).then(|| request.body.vacate()))
                    .flatten()
            }
            Role::Secondary => Some(self.uncommon().body.vacate()),
            Role::Nested | Role::New | Role::Over => None,
        };
        let body = body.unwrap_or_else(|| self.remembered());
        self.role = Role::Over;
        (body, self.permit.take())
    }

    /// Settles which body the request keeps after a second attempt. A `first` body that has not ended stays there,
    /// and this runner keeps its own. An ended one stays there if the second attempt was refused.
    #[cold]
    pub(super) fn settle_attempts(
        &mut self,
        request: &mut RequestContext,
        first: Body,
        begun: bool,
    ) {
        if first.stage != Stage::Parked {
            if !begun {
                request.body = first;
            }
            return;
        }
        let mut second = mem::replace(&mut request.body, first);
        second.stage = Stage::Parked;
        self.permit = second.permit.take();
        self.stand_alone(second);
    }

    /// Turns this into a runner that keeps its own body.
    pub(super) fn stand_alone(&mut self, body: Body) {
        self.uncommon().body = body;
        self.role = Role::Secondary;
    }

    /// Takes the callee's permit under its own limit.
    pub(super) fn take_own(&mut self) -> OwnPermit {
        let passed = self.uncommon().nested.passed.take();
        passed.map(|passed| passed.own).unwrap_or_default()
    }

    /// Takes over the permit of a caller that is being cut.
    pub(super) fn inherit(&mut self, permit: Option<InFlight>) {
        self.permit = permit;
    }

    /// Makes the body anew from its last poll, because its request is not the current one.
    fn remembered(&self) -> Body {
        let LastPoll { past, deadline } = self.last;
        let frame = self.nested_frame().unwrap_or(Frame::new(self.policy, deadline));
        Body::alone(frame, self.id, past)
    }
}

impl Nested {
    fn swap(&mut self, body: &mut Body) {
        mem::swap(&mut self.frame, &mut body.frame);
        mem::swap(&mut self.stage, &mut body.stage);
    }
}
