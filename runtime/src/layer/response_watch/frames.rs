//! Passes the frames of a response body to the connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::BoxError;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::ResponseWatch;
use crate::{
    connection::{Backpressure, body_ends, body_gave, body_holds_back, cut_piece},
    layer::response_body::CutShort,
    request::as_data,
};

type Polled<D> = Poll<Option<Result<Frame<D>, BoxError>>>;

impl ResponseWatch {
    /// Returns whether the connection is told of each frame, as HTTP/2 connections are.
    #[inline]
    pub(crate) fn is_measured(&self) -> bool {
        !self.0.flags.http1
    }

    /// Returns whether the frames go out over HTTP/2 under [`serve`](crate::serve()).
    #[inline]
    pub(super) fn is_of_http2(&self) -> bool {
        !self.0.flags.http1 && self.0.on().is_some()
    }

    /// Returns the length of the longest piece of a frame, if long frames are cut.
    fn longest_piece(&self) -> Option<usize> {
        let on = self.0.on()?;
        let gate = || match &self.0.response.extra {
            Some(extra) => extra.gate.longest_piece(on),
            None => Backpressure::default().longest_piece(on),
        };
        (!self.0.flags.http1 || self.0.flags.stream).then(gate)
    }

    /// Shortens a long data frame to its first piece, and keeps the rest.
    fn cut_frame<D: 'static>(&mut self, frame: &mut Frame<D>) {
        let Some(longest) = self.longest_piece() else { return };
        if let Some(rest) = frame.data_mut().and_then(|data| cut_piece(data, longest)) {
            self.0.response.extra.get_or_insert_default().rest = Some(rest);
        }
    }

    /// Returns the next piece of an HTTP/2 frame that was cut. Over HTTP/1 a piece waits as a frame does.
    #[inline]
    pub(crate) fn next_piece<D: 'static>(&mut self) -> Option<Frame<D>> {
        if self.0.flags.http1 {
            return None;
        }
        self.take_piece()
    }

    #[inline]
    fn take_piece<D: 'static>(&mut self) -> Option<Frame<D>> {
        let mut data = self.0.response.extra.as_mut()?.rest.take()?;
        let rest = self.longest_piece().and_then(|longest| cut_piece(&mut data, longest));
        body_gave();
        let is_last = rest.is_none();
        let extra = self.0.response.extra.as_mut()?;
        extra.rest = rest;
        if is_last && extra.finish_after_rest {
            self.finish();
        }
        as_data(data).map(Frame::data)
    }

    /// Returns how many bytes of a frame that was cut are still to go out.
    pub(crate) fn rest(&self) -> usize {
        let rest = self.0.response.extra.as_ref().and_then(|extra| extra.rest.as_ref());
        rest.map_or(0, Bytes::len)
    }

    /// Passes on a frame of a body that is not watched.
    pub(crate) fn gives<D: 'static>(&mut self, mut frame: Frame<D>) -> Frame<D> {
        if let Some(on) = self.0.on() {
            on.gave();
        }
        self.cut_frame(&mut frame);
        frame
    }

    pub(crate) fn poll_watched<B: Body<Error: Into<BoxError>>>(
        &mut self,
        mut inner: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Polled<B::Data>
    where
        B::Data: 'static,
    {
        self.0.response.polled = true;
        let stream = self.0.flags.stream;
        if let (true, Some(on), Some(extra)) = (stream, self.0.on(), &self.0.response.extra) {
            if extra.gate.is_shut(on, cx) {
                body_holds_back();
                return Poll::Pending;
            }
        }
        if let Some(mut piece) = self.take_piece() {
            self.waits_for(&mut piece);
            return Poll::Ready(Some(Ok(piece)));
        }
        let Poll::Ready(mut polled) = inner.as_mut().poll_frame(cx) else {
            if let Some(extra) = self.0.response.extra.as_mut().filter(|_| stream) {
                extra.gate.has_no_frame();
            }
            return Poll::Pending;
        };
        let mut whole = true;
        if let Some(Ok(frame)) = &mut polled {
            let bytes = frame.data_ref().map_or(0, Buf::remaining);
            whole = self.sent(bytes as u64) || inner.is_end_stream();
            self.goes_out(frame, whole);
        }
        // The token must not finish before the last piece goes out.
        match &mut self.0.response.extra {
            Some(extra) if whole && extra.rest.is_some() => extra.finish_after_rest = true,
            _ if whole => self.finish(),
            _ => {}
        }
        Poll::Ready(polled.map(|frame| frame.map_err(Into::into)))
    }

    /// Notes that `frame` goes to the connection. Over HTTP/1 the last frame goes as a whole, because the response
    /// stands once hyper has it (law 6).
    fn goes_out<D: Buf + 'static>(&mut self, frame: &mut Frame<D>, is_last: bool) {
        let holds_back = self.0.flags.stream && !is_last;
        if self.is_of_http2() {
            // The whole frame is held while hyper has a piece of it.
            if holds_back {
                self.waits_for(frame);
            }
            body_gave();
            body_ends(holds_back.then(|| self.end()));
            self.cut_frame(frame);
        } else if holds_back {
            self.cut_frame(frame);
            self.waits_for(frame);
        }
    }

    /// Has the next frame of a stream wait for `frame`.
    fn waits_for<D: Buf + 'static>(&mut self, frame: &mut Frame<D>) {
        if let (Some(on), response) = self.0.on_and_response() {
            response.extra.get_or_insert_default().gate.pass(on, frame);
        }
    }

    /// Polls the last event and the error of a body that the service has cut, or the body of its own response.
    pub(crate) fn poll_last<D: 'static>(&mut self, cx: &mut Context<'_>) -> Polled<D> {
        let (on, response) = self.0.on_and_response();
        let Some(extra) = &mut response.extra else { return Poll::Ready(None) };
        if let Some(last) = extra.last.take() {
            extra.last_body = Some(last.into_body());
        }
        while let Some(body) = &mut extra.last_body {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.into_data().ok().and_then(as_data) {
                        if let Some(on) = on {
                            on.gave();
                        }
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Some(Err(error)) => {
                    extra.last_body = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => extra.last_body = None,
            }
        }
        // hyper drops what it has buffered when a body fails, and flushes it when a body is pending.
        if extra.error.is_some() && extra.flushes_before_error > 0 {
            extra.flushes_before_error -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let (Some(_), Some(on)) = (extra.error, on) {
            if extra.head.is_pending(on, cx) {
                return Poll::Pending;
            }
        }
        Poll::Ready(extra.error.take().map(|cause| Err(CutShort(cause).into())))
    }

    pub(crate) fn has_more_to_say(&self) -> bool {
        self.0.response.extra.as_ref().is_some_and(|extra| {
            extra.last.is_some() || extra.last_body.is_some() || extra.error.is_some()
        })
    }

    /// Returns the size of the bytes that are still to go out, if they can go out as `D`.
    pub(crate) fn rest_hint<D: 'static>(&self) -> SizeHint {
        let extra = self.0.response.extra.as_ref();
        match extra.and_then(|extra| extra.last_body.as_ref()) {
            Some(body) if as_data::<D>(Bytes::new()).is_some() => body.size_hint(),
            None if !self.has_more_to_say() => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}
