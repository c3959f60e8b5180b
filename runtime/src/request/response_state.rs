//! What a request keeps of its response's body, once its head is sent.

use std::pin::Pin;

use axum::body::Body as AxumBody;
use bytes::Bytes;
use tokio::{sync::futures::OwnedNotified, time::Sleep};
use tracing::Span;

use super::{Gone, LastEvent};
use crate::{cause::Cause, connection::Backpressure};

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct ResponseState {
    /// Bytes that `Content-Length` promised and that are still to come.
    pub(crate) remaining: Option<u64>,
    /// Where a streamed body logs.
    pub(crate) span: Option<Span>,
    pub(crate) extra: Option<Box<ResponseExtra>>,
    /// Somebody could tell whether the body ends.
    pub(crate) watched: bool,
    pub(crate) polled: bool,
    /// It was told that the service ends.
    pub(crate) told: bool,
    /// Its client takes an end for a pause, and asks again.
    pub(crate) reconnects: bool,
    /// More than a socket's buffer is sure to take.
    pub(crate) long: bool,
}

impl ResponseState {
    #[inline]
    pub(super) fn reset(&mut self) {
        let Self { remaining, span, extra, watched, polled, told, reconnects, long } = self;
        *remaining = None;
        *span = None;
        *extra = None;
        (*watched, *polled, *told, *reconnects, *long) = (false, false, false, false, false);
    }
}

/// What only some bodies have.
#[derive(Default)]
pub(crate) struct ResponseExtra {
    pub(crate) gone: Option<Gone>,
    /// Ends a streamed body at its deadline.
    pub(crate) sleep: Option<Pin<Box<Sleep>>>,
    /// Wakes the body where no connection of this server does.
    pub(crate) wake: Option<Pin<Box<OwnedNotified>>>,
    pub(crate) last: Option<LastEvent>,
    /// `last`, on its way, or an answer of ours.
    pub(crate) saying: Option<AxumBody>,
    /// The body was cut for this, and that is to be seen.
    pub(crate) error: Option<Cause>,
    pub(crate) flushes_before_error: u8,
    pub(crate) gate: Backpressure,
    /// The rest of a frame, a piece of which has gone out.
    pub(crate) rest: Option<Bytes>,
    /// It was the last frame.
    pub(crate) finish_after_rest: bool,
    /// Where the connection fires the stream's token.
    pub(crate) told_by: Option<usize>,
}
