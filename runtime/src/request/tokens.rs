//! The tokens of one request, in two types that fire together. Each is made at first use.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    cancellation::{RequestState, Signal},
    cause::Cause,
    service::ServiceState,
};

/// The tokens of one request, and its first cause.
#[derive(Default)]
pub(super) struct Tokens {
    /// The token of tokio-util's type, once asked for.
    raw: Option<CancellationToken>,
    /// The state of the token of this crate's type, once asked for.
    state: Option<Arc<RequestState>>,
    /// The first cause, unless only `state` has it.
    cause: Option<Cause>,
}

impl Tokens {
    /// Returns the same tokens, for a body that goes on without its request.
    pub(super) fn shared(&self) -> Self {
        Self { raw: self.raw.clone(), state: self.state.clone(), cause: self.cause() }
    }

    #[inline]
    pub(super) fn reset(&mut self) {
        let Self { raw, state, cause } = self;
        *raw = None;
        *state = None;
        *cause = None;
    }

    #[inline]
    pub(super) fn cause(&self) -> Option<Cause> {
        self.cause.or_else(|| self.state.as_ref()?.settled())
    }

    pub(super) fn settle(&mut self, cause: Cause) -> (Cause, Option<Signal>) {
        if let Some(first) = self.cause {
            return (first, None);
        }
        let first = self.state.as_ref().and_then(|state| state.record(cause)).unwrap_or(cause);
        self.cause = Some(first);
        (first, self.signal(first))
    }

    pub(super) fn signal(&self, cause: Cause) -> Option<Signal> {
        let signal = || Signal { raw: self.raw.clone(), state: self.state.clone(), cause };
        self.are_handed_out().then(signal)
    }

    pub(super) fn state(&mut self, life: &Arc<ServiceState>) -> Arc<RequestState> {
        let (raw, cause) = (&self.raw, self.cause);
        let linked = || Arc::new(RequestState::linked(life.clone(), cause, raw.clone()));
        self.state.get_or_insert_with(linked).clone()
    }

    pub(super) fn raw(&mut self) -> CancellationToken {
        let (state, cause) = (&self.state, self.cause);
        let made = || {
            let raw = state.as_ref().map_or_else(CancellationToken::new, |state| state.token());
            if cause.is_some() {
                raw.cancel();
            }
            raw
        };
        self.raw.get_or_insert_with(made).clone()
    }

    #[inline]
    pub(super) const fn are_handed_out(&self) -> bool {
        self.raw.is_some() || self.state.is_some()
    }

    /// Returns whether `state` is the state of these tokens.
    pub(super) fn are(&self, state: &Arc<RequestState>) -> bool {
        self.state.as_ref().is_some_and(|own| Arc::ptr_eq(own, state))
    }

    /// Takes over the token of a call that is over, unless the request has a token of its own.
    pub(super) fn inherit(&mut self, given: Arc<RequestState>) {
        if !self.are_handed_out() {
            self.state = Some(given);
        }
    }

    pub(super) fn lift_deadline(&self) {
        if let Some(state) = &self.state {
            state.lift_deadline();
        }
    }

    pub(super) fn finish(&self) {
        if let Some(state) = &self.state {
            state.finish();
        }
    }
}
