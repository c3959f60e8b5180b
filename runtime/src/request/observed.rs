//! The facts of a request that the observers of its service are told at its end.
//!
//! Without an observer, a request has none of it.

use std::{sync::Arc, thread};

use http::{Method, Request, StatusCode, Version};
use tokio::time::Instant;

use super::context::RequestContext;
use crate::{
    cause::{Cancelled, Cause, Outcome},
    handler_policy::HandlerPolicy,
    service::{RequestEnded, RequestKey},
};

/// The facts of a request that is observed.
pub(crate) struct Observed {
    key: RequestKey,
    method: Method,
    version: Version,
    route: Option<Arc<str>>,
    handler: Option<&'static HandlerPolicy>,
    status: Option<StatusCode>,
    ended_early: Option<(Cause, Outcome)>,
    deadline: Option<Instant>,
}

impl RequestContext {
    /// Begins to observe the request.
    #[cold]
    #[inline(never)]
    pub(super) fn observe<B>(&mut self, head: &Request<B>) {
        self.observed = Some(Box::new(Observed {
            key: self.life().observers.request_came(head.method()),
            method: head.method().clone(),
            version: head.version(),
            route: None,
            handler: None,
            status: None,
            ended_early: None,
            deadline: None,
        }));
    }

    /// Notes the handler that the request has reached, and its route if it is known.
    #[inline]
    pub(crate) fn observe_handler(
        &mut self,
        handler: &'static HandlerPolicy,
        route: impl FnOnce() -> Option<Arc<str>>,
    ) {
        if self.observed.is_some() {
            self.note_handler(handler, route());
        }
    }

    #[cold]
    fn note_handler(&mut self, handler: &'static HandlerPolicy, route: Option<Arc<str>>) {
        let Some(observed) = &mut self.observed else { return };
        observed.handler = Some(handler);
        if route.is_some() {
            observed.route = route;
        }
        let key = observed.key;
        self.life().observers.request_reached(key, handler);
    }

    /// Notes the status of the answer.
    #[inline]
    pub(crate) fn observe_answer(&mut self, status: StatusCode) {
        if self.observed.is_some() {
            self.note_answer(status);
        }
    }

    #[cold]
    fn note_answer(&mut self, status: StatusCode) {
        let (handler, deadline) = (self.policy(), self.deadline_in_force());
        let Some(observed) = &mut self.observed else { return };
        observed.status = Some(status);
        observed.handler = observed.handler.or(handler);
        observed.deadline = observed.deadline.or(deadline);
    }

    /// Notes that the wait for `handler` ended early.
    pub(super) fn observe_cancelled(
        &mut self,
        handler: &'static HandlerPolicy,
        cancelled: Cancelled,
    ) {
        let deadline = self.deadline_in_force();
        let Some(observed) = &mut self.observed else { return };
        // The report of a request that reached no handler names a stand-in.
        observed.handler = observed.handler.or((!handler.file().is_empty()).then_some(handler));
        observed.ended_early = Some((cancelled.ended_by(), cancelled.outcome()));
        observed.deadline = observed.deadline.or(deadline);
    }

    /// Notes that the response body was cut.
    pub(crate) fn observe_cut(&mut self, cause: Cause) {
        if let Some(observed) = &mut self.observed {
            observed.ended_early.get_or_insert((cause, Outcome::Unknown));
        }
    }

    fn deadline_in_force(&self) -> Option<Instant> {
        let own = self.body.has_begun().then_some(self.body.frame.deadline).flatten();
        own.or(self.deadline)
    }

    /// Ceases to observe the request, which is one for the figures themselves.
    pub(crate) fn unobserve(&mut self) {
        if let Some(observed) = self.observed.take() {
            self.life().observers.request_left(observed.key);
        }
    }

    /// Tells the observers that the request is over.
    #[cold]
    #[inline(never)]
    pub(super) fn end_observation(&mut self) {
        let Some(observed) = self.observed.take() else { return };
        let Observed { key, method, version, route, handler, status, ended_early, deadline } =
            *observed;
        let panicked = status.is_none() && thread::panicking();
        let unanswered = || {
            let cause = self.cause().filter(|_| status.is_none() && !panicked)?;
            Some((cause, Outcome::Unknown))
        };
        let ended_early = ended_early.filter(|_| !panicked);
        let (cause, outcome) = ended_early.or_else(unanswered).unzip();
        let status =
            status.or(cause.map(Cause::status)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let arrival = self.arrival();
        let observers = &self.life().observers;
        observers.request_left(key);
        observers.request_ended(RequestEnded {
            handler,
            route,
            method,
            version,
            status: status.as_u16(),
            cause,
            outcome,
            elapsed: arrival.elapsed(),
            deadline: deadline.map(|deadline| deadline.saturating_duration_since(arrival)),
            panicked,
        });
    }
}
