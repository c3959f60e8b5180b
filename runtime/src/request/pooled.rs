//! Boxes that are used again.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

use http::{Method, Request, Version};
use http_body::Body;

use super::{context::RequestContext, origin::Origin};
use crate::{connection::OnConnection, service::ServiceState};

thread_local! {
    // In boxes, because that is how they are handed out again.
    #[expect(clippy::vec_box, reason = "unboxing would move what the box is there to keep")]
    static SPARE: RefCell<Vec<Box<RequestContext>>> = const { RefCell::new(Vec::new()) };
}

/// How many boxes a thread keeps: as many requests as it is likely to have at once.
const SPARES: usize = 256;

/// A [`RequestContext`] in a box that is used again: [`release`](Self::release) gives the box back. Dropping this,
/// as unwinding does, ends the request as well, and frees the box.
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

    /// A request that has just come in on a connection of ours.
    #[inline]
    pub(crate) fn on<B: Body>(on: OnConnection, head: &Request<B>) -> Self {
        Self::received(Origin::Connection(on), head, !head.body().is_end_stream())
    }

    /// A request that a server or a layer has just received.
    #[inline]
    pub(crate) fn received<B>(origin: Origin, head: &Request<B>, upload: bool) -> Self {
        let mut request = Self::new(origin);
        request.count();
        if let Some(time) = request.life().time_of_caller(head.headers()) {
            request.shorten(time);
        }
        #[cfg(feature = "lambda")]
        if let Some(left) = request.life().time_of_platform(head.extensions()) {
            request.shorten(left.for_answer);
            request.limit(left.in_all);
        }
        request.flags.upload = upload;
        request.flags.head = *head.method() == Method::HEAD;
        request.flags.connect = *head.method() == Method::CONNECT;
        request.flags.http1 = head.version() <= Version::HTTP_11;
        request
    }

    /// A request without a server of ours around it: it sees disconnects and deadlines only.
    pub(crate) fn unlinked() -> Self {
        Self::new(Origin::Elsewhere(ServiceState::unlinked()))
    }

    /// The service inside had no answer.
    #[cold]
    pub(crate) fn failed(self) {
        self.finish();
        self.release();
    }

    /// The request is over; its box is used again.
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
