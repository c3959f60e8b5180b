//! The request that is sent many times, and its body.
//!
//! Invariants:
//!
//! 1. A [`Fed`] ends when its whole length has arrived, because its [`Feed`] lives longer than the last chunk.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

type Whole<'a> = Pin<Box<dyn Future<Output = Result<Request<Bytes>, String>> + 'a>>;

#[diagnostic::on_unimplemented(
    message = "`{Self}` is no request that can be sent again",
    label = "expected an `http::Request` whose body is a `String` or an `axum::body::Body`, or a closure that makes one",
    note = "without a body: `Request::get(\"/path\").body(String::new())?`",
    note = "the builder gives a `Result`: `.body(..).unwrap()`"
)]
/// A request that can be sent many times: an `http::Request`, or a closure that makes one for each run. Its body
/// is read to its end before it is sent.
pub trait Repeat {
    #[doc(hidden)]
    fn start<'a>(self) -> Pin<Box<dyn Future<Output = Result<Requests<'a>, String>> + 'a>>
    where
        Self: 'a;
}

/// The source of the requests.
#[doc(hidden)]
pub enum Requests<'a> {
    Same(Box<Request<Bytes>>),
    Made(Box<dyn FnMut() -> Whole<'a> + 'a>),
}

impl Requests<'_> {
    pub(super) async fn next(&mut self) -> Result<Request<Bytes>, String> {
        match self {
            Self::Same(request) => Ok(Request::clone(request)),
            Self::Made(make) => make().await,
        }
    }
}

impl fmt::Debug for Requests<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl<B: Body<Error: fmt::Debug>> Repeat for Request<B> {
    fn start<'a>(self) -> Pin<Box<dyn Future<Output = Result<Requests<'a>, String>> + 'a>>
    where
        Self: 'a,
    {
        Box::pin(async { whole(self).await.map(Box::new).map(Requests::Same) })
    }
}

impl<F, B> Repeat for F
where
    F: FnMut() -> Request<B>,
    B: Body<Error: fmt::Debug> + 'static,
{
    fn start<'a>(mut self) -> Pin<Box<dyn Future<Output = Result<Requests<'a>, String>> + 'a>>
    where
        Self: 'a,
    {
        let make = move || -> Whole<'a> {
            let request = self();
            Box::pin(whole(request))
        };
        Box::pin(std::future::ready(Ok(Requests::Made(Box::new(make)))))
    }
}

async fn whole<B: Body<Error: fmt::Debug>>(request: Request<B>) -> Result<Request<Bytes>, String> {
    let (head, body) = request.into_parts();
    let body = body.collect().await;
    let body =
        body.map_err(|error| format!("the body of the request cannot be read: {error:?}"))?;
    Ok(Request::from_parts(head, body.to_bytes()))
}

/// A request body whose chunks arrive when [`Feed`] sends them.
pub(super) struct Fed {
    chunks: mpsc::UnboundedReceiver<Bytes>,
    left: u64,
}

/// Sends the chunks of a [`Fed`].
pub(super) struct Feed {
    chunks: VecDeque<Bytes>,
    to: mpsc::UnboundedSender<Bytes>,
}

/// Splits a body in two pieces at a position that `entropy` decides.
pub(super) fn in_pieces(mut body: Bytes, entropy: u16) -> (Feed, Fed) {
    let (to, chunks) = mpsc::unbounded_channel();
    let left = body.len() as u64;
    let mut pieces = VecDeque::new();
    if body.len() > 1 {
        pieces.push_back(body.split_to(1 + usize::from(entropy) % (body.len() - 1)));
    }
    if !body.is_empty() {
        pieces.push_back(body);
    }
    (Feed { chunks: pieces, to }, Fed { chunks, left })
}

impl Feed {
    /// Sends all pieces.
    pub(super) fn all(&mut self) {
        while !self.chunks.is_empty() {
            self.next();
        }
    }

    /// Sends the next piece, if there is one.
    pub(super) fn next(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            // The send fails if the service has dropped the body.
            let _ = self.to.send(chunk);
        }
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.chunks.poll_recv(cx).map(|chunk| {
            chunk.map(|chunk| {
                self.left -= chunk.len() as u64;
                Ok(Frame::data(chunk))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
