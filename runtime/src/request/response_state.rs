//! The state of a response body once its head is sent.

use std::pin::Pin;

use axum::{body::Body as AxumBody, response::Response};
use bytes::Bytes;
use tokio::{sync::futures::OwnedNotified, time::Sleep};
use tracing::Span;

use super::{Gone, LastEvent};
use crate::{
    cause::{Cancelled, Cause},
    connection::{Backpressure, HeadWait},
};

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct ResponseState {
    /// The bytes that `Content-Length` promised and that are still to come.
    pub(crate) remaining: Option<u64>,
    /// The span in which a streamed body is polled and logs.
    pub(crate) span: Option<Span>,
    pub(crate) extra: Option<Box<ResponseExtra>>,
    /// Whether the end of the body is watched, because it is a stream or has a token.
    pub(crate) watched: bool,
    pub(crate) polled: bool,
    /// Whether the body has noticed that the service is closing.
    pub(crate) heard_closing: bool,
    /// Whether its client reconnects after an early end.
    pub(crate) reconnects: bool,
    /// Whether the body is longer than a socket's buffer is sure to take.
    pub(crate) long: bool,
}

impl ResponseState {
    #[inline]
    pub(super) fn reset(&mut self) {
        let Self { remaining, span, extra, watched, polled, heard_closing, reconnects, long } =
            self;
        *remaining = None;
        *span = None;
        *extra = None;
        (*watched, *polled, *heard_closing, *reconnects, *long) =
            (false, false, false, false, false);
    }
}

/// The state that only some response bodies have.
#[derive(Default)]
pub(crate) struct ResponseExtra {
    pub(crate) gone: Option<Gone>,
    /// Ends a streamed body at its deadline.
    pub(crate) sleep: Option<Pin<Box<Sleep>>>,
    /// Wakes the body, if no connection of `serve` does.
    pub(crate) wake: Option<Pin<Box<OwnedNotified>>>,
    pub(crate) last: Option<LastEvent>,
    /// The answer of the `on_cancelled` hook, until a handler returns its `Cancelled`.
    pub(crate) hooked: Option<(Cancelled, Box<Response>)>,
    /// The body of `last`, or of an answer of this crate, while it is sent.
    pub(crate) last_body: Option<AxumBody>,
    /// The cause for which the body was cut, if the client has to see an error.
    pub(crate) error: Option<Cause>,
    pub(crate) flushes_before_error: u8,
    /// Over HTTP/2, `error` waits for the head.
    pub(crate) head: HeadWait,
    pub(crate) gate: Backpressure,
    /// The rest of a frame, a piece of which has gone out.
    pub(crate) rest: Option<Bytes>,
    /// Whether `rest` is of the last frame.
    pub(crate) finish_after_rest: bool,
    /// The key by which the connection fires the stream's token.
    pub(crate) token_key: Option<usize>,
}
