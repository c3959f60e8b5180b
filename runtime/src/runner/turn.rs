//! Whose turn it is: the body's state between the runner that keeps it and the request.

use std::mem;

use super::core::{Core, Nested, Passed, Rare, Role};
use crate::{
    ambient::{self, Body, Frame, Stage},
    lifecycle::{InFlight, WorkKind},
};

impl Core {
    /// Gives the body's state to the request: its code is about to run.
    #[inline]
    pub(super) fn put(&mut self, stage: Stage) {
        let (id, permit) = (self.id, &mut self.permit);
        let resident = self.role == Role::Resident
            && ambient::with(|request| {
                let body = &mut request.body;
                let mine = body.id == id;
                if mine {
                    body.stage = stage;
                    // A move that is seldom needed: most bodies hold none.
                    if permit.is_some() {
                        body.permit = permit.take();
                    }
                }
                mine
            }) == Some(true);
        if !resident {
            self.put_rare(stage);
        }
    }

    #[cold]
    fn put_rare(&mut self, stage: Stage) {
        let role = self.role;
        let permit = &mut self.permit;
        let Rare { body, nested, .. } = &mut **self.rare.get_or_insert_default();
        let put = ambient::with(|request| match role {
            Role::Apart => {
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
            Role::Resident => false,
            Role::New | Role::Over => true,
        });
        if put == Some(false) {
            // Somebody moved the future out of its request or its caller, to a task of its own,
            // say: it goes on by itself, with what it remembers.
            let body = self.remembered();
            let place = body.frame.place();
            if let Some(passed) = self.rare().nested.passed.take() {
                // The permit stays with the caller, and the service waits for this one all the same.
                let entry = InFlight::unlimited(passed.life, place, WorkKind::Durable);
                self.permit = Some(entry);
            }
            self.stand_alone(body);
            self.put_rare(stage);
        }
    }

    /// Takes it back: its code has run.
    #[inline]
    pub(super) fn take(&mut self) {
        if self.role == Role::Resident {
            let permit = &mut self.permit;
            ambient::with(|request| {
                request.body.stage = Stage::Parked;
                self.past = request.body.past;
                self.deadline = request.body.frame.deadline;
                self.quiet = request.is_quiet();
                if request.body.permit.is_some() {
                    *permit = request.body.permit.take();
                }
            });
        } else {
            self.take_rare();
        }
    }

    #[cold]
    fn take_rare(&mut self) {
        let role = self.role;
        let permit = &mut self.permit;
        let Rare { body, nested, .. } = &mut **self.rare.get_or_insert_default();
        let past = ambient::with(|request| match role {
            Role::Apart => {
                mem::swap(permit, &mut request.body.permit);
                mem::swap(body, &mut request.body);
                body.stage = Stage::Parked;
                body.past
            }
            Role::Nested => {
                nested.swap(&mut request.body);
                let here = nested.passed.as_ref().map(|passed| passed.caller);
                if nested.frame.past && here != Some(request.body.id) {
                    // For the first time, or for the first time in this caller.
                    nested.passed = Some(Passed::within(request));
                    request.body.past = true;
                    if request.body.permit.is_none() {
                        let (life, place) = (request.life().clone(), nested.frame.place());
                        let entry = InFlight::unlimited(life, place, WorkKind::Durable);
                        request.body.permit = Some(entry);
                    }
                }
                nested.frame.past
            }
            Role::Resident | Role::New | Role::Over => false,
        });
        self.past = past == Some(true);
        self.quiet = false;
    }

    /// Takes the body's state away, to go on elsewhere.
    pub(super) fn extract(&mut self) -> (Body, Option<InFlight>) {
        let body = match self.role {
            Role::Resident => {
                ambient::with(|request| (request.body.id == self.id).then(|| request.body.vacate()))
                    .flatten()
            }
            Role::Apart => Some(self.rare().body.vacate()),
            Role::Nested | Role::New | Role::Over => None,
        };
        let body = body.unwrap_or_else(|| self.remembered());
        self.role = Role::Over;
        (body, self.permit.take())
    }

    /// Makes it a runner that keeps its body.
    pub(super) fn stand_alone(&mut self, body: Body) {
        self.rare().body = body;
        self.role = Role::Apart;
    }

    /// The permit of a caller that cannot go on itself.
    pub(super) fn inherit(&mut self, permit: Option<InFlight>) {
        self.permit = permit;
    }

    /// What is known of the body if its request got lost.
    fn remembered(&self) -> Body {
        let lost = Frame { past: self.past, ..Frame::new(self.policy, self.deadline) };
        let frame = self.nested_frame().unwrap_or(lost);
        Body::of(Frame { nested: false, ..frame }, self.id)
    }
}

impl Nested {
    fn swap(&mut self, body: &mut Body) {
        mem::swap(&mut self.frame, &mut body.frame);
        mem::swap(&mut self.stage, &mut body.stage);
    }
}
