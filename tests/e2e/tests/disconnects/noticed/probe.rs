//! The state of the handlers: their marks, and how they use the request's body.

use std::{future::poll_fn, pin::Pin};

use axum::{
    Json,
    body::{Body, HttpBody, to_bytes},
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use followthrough::RequestToken;
use followthrough_tests::Marks;

use super::verdict::{Wrong, check};

const BROKEN: &str = "upload broken";
const WHOLE: &str = "upload whole";
const CUT_SHORT: &str = "upload cut short, with a clean end";

/// How a handler uses the request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upload {
    /// The handler has no argument for the body.
    NotTaken,
    /// The handler takes a `String`.
    Text,
    /// The handler takes `Json`.
    Json,
    /// An earlier extractor waits for something else.
    Lookup,
    /// The handler keeps the body and reads it at its end.
    Held,
    /// The handler reads one frame first, and the others at its end.
    Sipped,
    /// The handler waits for the whole body.
    Collected,
    /// The handler reads frame by frame.
    Frames,
}

impl Upload {
    pub(crate) const fn is_read_by_the_handler(self) -> bool {
        matches!(self, Self::Held | Self::Sipped | Self::Collected | Self::Frames)
    }
}

/// The state of an app.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) marks: Marks,
    pub(crate) upload: Upload,
}

impl Probe {
    pub(crate) fn new(upload: Upload) -> Self {
        Self { marks: Marks::default(), upload }
    }

    /// Returns a guard that lets all handlers go on when it is dropped, so that no handler outlives
    /// a failed combination.
    #[must_use = "it lets them go when it is dropped"]
    pub(crate) fn until_here(&self) -> impl Sized + use<> {
        (self.marks.on_drop("found"), self.marks.on_drop("go"))
    }

    /// Checks that half an upload did not look whole, and that the upload ended if it `must_end`.
    pub(crate) fn was_told_of_the_upload(&self, must_end: bool) -> Result<(), Wrong> {
        let marks = &self.marks;
        check(!marks.has(CUT_SHORT), || format!("half an upload looked whole: {:?}", marks.all()))?;
        let ended = marks.has(BROKEN) || marks.has(WHOLE);
        let told = ended || !must_end || !self.upload.is_read_by_the_handler();
        check(told, || format!("the upload did not end: {:?}", marks.all()))
    }

    /// Marks the cause with which `token` fires.
    pub(crate) fn observe(&self, token: &RequestToken) {
        let (marks, token) = (self.marks.clone(), token.clone());
        tokio::spawn(async move {
            let cause = token.cancelled().await;
            marks.set(format!("token {cause:?}"));
        });
    }
}

/// A request's body, as the handler has it.
#[derive(Debug)]
pub(crate) struct Taken {
    marks: Marks,
    upload: Upload,
    body: Option<Body>,
    /// The value of `Content-Length`.
    promised: Option<usize>,
    got: usize,
}

impl FromRequest<Probe> for Taken {
    type Rejection = Response;

    async fn from_request(request: Request, probe: &Probe) -> Result<Self, Response> {
        let _over = probe.marks.on_drop("extraction over");
        let (mut parts, body) = request.into_parts();
        if matches!(probe.upload, Upload::Text | Upload::Json | Upload::Lookup) {
            let token = RequestToken::from_request_parts(&mut parts, probe).await;
            probe.observe(&token.map_err(IntoResponse::into_response)?);
        }
        let promised = parts.headers.get(http::header::CONTENT_LENGTH);
        let promised = promised.and_then(|length| length.to_str().ok()?.parse().ok());
        let mut taken =
            Self { marks: probe.marks.clone(), upload: probe.upload, body: None, promised, got: 0 };
        let request = Request::from_parts(parts, body);
        probe.marks.set("extracting");
        match probe.upload {
            Upload::NotTaken => {}
            Upload::Text => {
                let text = String::from_request(request, probe).await;
                drop(text.map_err(IntoResponse::into_response)?);
            }
            Upload::Json => {
                let json = Json::<serde_json::Value>::from_request(request, probe).await;
                drop(json.map_err(IntoResponse::into_response)?);
            }
            Upload::Lookup => {
                // The body stays unread while the extractor waits.
                let _request = request;
                probe.marks.until("found").await;
            }
            Upload::Held | Upload::Sipped | Upload::Collected | Upload::Frames => {
                taken.body = Some(request.into_body());
            }
        }
        Ok(taken)
    }
}

impl Taken {
    /// Uses the body at the beginning of the handler.
    pub(crate) async fn at_first(&mut self) {
        match self.upload {
            Upload::Sipped => {
                self.frame().await;
            }
            Upload::Collected => {
                let body = self.body.take().expect("it is there until it is read");
                let got = to_bytes(body, usize::MAX).await;
                self.ended(got.map(|bytes| bytes.len()).ok());
            }
            Upload::Frames => self.rest().await,
            Upload::NotTaken | Upload::Text | Upload::Json | Upload::Lookup | Upload::Held => {}
        }
    }

    /// Reads the rest of the body at the end of the handler.
    pub(crate) async fn at_last(&mut self) {
        if self.body.is_some() {
            self.rest().await;
        }
    }

    async fn rest(&mut self) {
        while self.frame().await {}
    }

    /// Reads a frame. Returns whether there was one.
    async fn frame(&mut self) -> bool {
        let Some(body) = &mut self.body else { return false };
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            Some(Ok(frame)) => {
                self.got += frame.data_ref().map_or(0, bytes::Bytes::len);
                self.marks.set("upload goes on");
                return true;
            }
            Some(Err(_)) => self.ended(None),
            None => self.ended(Some(self.got)),
        }
        self.body = None;
        false
    }

    /// Marks the end of the body. A clean end before `Content-Length` is the worst fault, because a
    /// write would store half of an upload as the whole.
    fn ended(&mut self, got: Option<usize>) {
        self.marks.set(match got {
            None => BROKEN,
            Some(got) if Some(got) == self.promised => WHOLE,
            Some(_) => CUT_SHORT,
        });
    }
}
