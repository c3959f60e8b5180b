//! Request contexts in boxes that are reused.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

use http::{Method, Request, Version};
use http_body::Body;

use super::{context::RequestContext, origin::Origin};
use crate::{connection::OnConnection, service::ServiceState};

thread_local! {
    #[expect(clippy::vec_box, reason = "the pool keeps the allocations, so it keeps the boxes")]
    static SPARE: RefCell<Vec<Box<RequestContext>>> = const { RefCell::new(Vec::new()) };
}

/// How many boxes a thread keeps. A thread seldom has more requests at once.
const SPARES: usize = 256;

/// A [`RequestContext`] in a box that is reused. [`release`](Self::release) ends the request and returns the box
/// to the pool. A drop, as by unwinding, ends the request and frees the box.
///
/// The struct has no destructor of its own, so `Option<PooledRequest>` is one word that moves in two instructions.
pub(crate) struct PooledRequest(Box<RequestContext>);

impl PooledRequest {
    #[inline]
    pub(crate) fn new(origin: Origin) -> Self {
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let mut request = spare.unwrap_or_default();
        request.begin(origin);
        Self(request)
    }

    /// Makes the context of a request that has come in over a connection of `serve`.
    #[inline]
    pub(crate) fn on<B: Body>(on: OnConnection, head: &Request<B>) -> Self {
        Self::received(Origin::Connection(on), head, !head.body().is_end_stream())
    }

    /// Makes the context of a request that a server or a layer has received.
    #[inline]
    pub(crate) fn received<B>(origin: Origin, head: &Request<B>, upload: bool) -> Self {
        let mut request = Self::new(origin);
        request.count();
        let life = request.life();
        let (observed, keyed) = (life.observers.are_present(), life.config.keyed_writes.is_some());
        let time = life.time_of_caller(head.headers());
        if observed {
            request.observe(head);
        }
        if let Some(time) = time {
            request.shorten(time);
        }
        if keyed {
            request.look_for_key(head);
        }
        #[cfg(feature = "lambda")]
        if let Some(left) = request.life().time_of_platform(head.extensions()) {
            request.shorten(left.for_answer);
            request.limit(left.in_all);
        }
        request.flags.upload = upload;
        match *head.method() {
            Method::HEAD => request.flags.head = true,
            Method::CONNECT => request.flags.connect = true,
            _ => {}
        }
        request.flags.http1 = head.version() <= Version::HTTP_11;
        request
    }

    /// Makes the context of a request that no server and no layer has received: only a drop of its future and
    /// deadlines cancel it.
    pub(crate) fn unlinked() -> Self {
        Self::new(Origin::Elsewhere(ServiceState::unlinked()))
    }

    /// Ends a request for which the inner service returned an error.
    #[cold]
    pub(crate) fn failed(self) {
        self.finish();
        self.release();
    }

    /// Ends the request, and returns its box to the pool.
    #[inline]
    pub(crate) fn release(self) {
        let Self(mut request) = self;
        request.reset();
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARES {
                spare.push(request);
            }
        });
    }
}

impl Deref for PooledRequest {
    type Target = RequestContext;

    #[inline]
    fn deref(&self) -> &RequestContext {
        &self.0
    }
}

impl DerefMut for PooledRequest {
    #[inline]
    fn deref_mut(&mut self) -> &mut RequestContext {
        &mut self.0
    }
}
