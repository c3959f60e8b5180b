//! An answer in the form in which a store keeps it.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response::Parts};
use http_body::{Frame, SizeHint};

use super::StoreError;

/// The headers that are not stored: credentials, and those that the server sets for each answer.
const NOT_STORED: [HeaderName; 10] = [
    header::SET_COOKIE,
    header::CONTENT_LENGTH,
    header::DATE,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
];

pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An answer as a [`Store`](super::Store) keeps it: its status, its headers and its body.
///
/// `Set-Cookie`, and headers that concern one connection, are left out.
///
/// A clone is a reference to the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer(Arc<Contents>);

#[derive(Debug, PartialEq, Eq)]
struct Contents {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl StoredAnswer {
    fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self(Arc::new(Contents { status, headers, body }))
    }

    /// Reads the body of a response, up to `limit` bytes.
    pub(crate) async fn read(response: Response, limit: usize) -> Result<Read, axum::Error> {
        let (parts, mut body) = response.into_parts();
        let mut begin = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if let Some(data) = frame?.data_ref() {
                begin.extend_from_slice(data);
            }
            if begin.len() > limit {
                let body = Body::new(Continued { begin: Some(begin.freeze()), rest: body });
                return Ok(Read::TooLarge(Response::from_parts(parts, body)));
            }
        }
        Ok(Read::Whole(parts, begin.freeze()))
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::new(status, HeaderMap::new(), Bytes::new())
    }

    pub(crate) fn of(parts: &Parts, body: Bytes) -> Self {
        let mut headers = parts.headers.clone();
        for name in &NOT_STORED {
            headers.remove(name);
        }
        Self::new(parts.status, headers, body)
    }

    /// Makes an answer from the columns of a store.
    ///
    /// # Errors
    ///
    /// Returns an error if the status or the headers are not those that
    /// [`status`](Self::status) and [`headers_as_text`](Self::headers_as_text) returned, as in a row that was edited.
    pub fn from_columns(status: u16, headers: &str, body: Vec<u8>) -> Result<Self, StoreError> {
        let status = StatusCode::from_u16(status)
            .map_err(|_| StoreError::new(format!("{status} is not a status")))?;
        let mut map = HeaderMap::new();
        for line in headers.lines() {
            let (name, value) = header_of(line)
                .ok_or_else(|| StoreError::new(format!("{line:?} is not a header")))?;
            map.append(name, value);
        }
        Ok(Self::new(status, map, body.into()))
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    /// Returns the headers as lines of `name: value`. A byte of a value that is not ASCII becomes the character of
    /// that number.
    #[must_use]
    pub fn headers_as_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0.headers {
            text.push_str(name.as_str());
            text.push_str(": ");
            text.extend(value.as_bytes().iter().copied().map(char::from));
            text.push('\n');
        }
        text
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Returns the number of bytes that the answer takes, about.
    pub(crate) fn size(&self) -> usize {
        let headers = self.0.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        headers.sum::<usize>() + self.0.body.len()
    }

    /// Makes the answer to a retry.
    pub(crate) fn replay(&self) -> Response {
        let mut response = Response::new(Body::from(self.0.body.clone()));
        *response.status_mut() = self.0.status;
        response.headers_mut().clone_from(&self.0.headers);
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

/// A response whose body was read.
pub(crate) enum Read {
    Whole(Parts, Bytes),
    /// The body is longer than the limit, and the response has all of it.
    TooLarge(Response),
}

/// A body whose begin was read already.
struct Continued {
    begin: Option<Bytes>,
    rest: Body,
}

impl HttpBody for Continued {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.begin.take() {
            Some(begin) => Poll::Ready(Some(Ok(Frame::data(begin)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let begin = self.begin.as_ref().map_or(0, |begin| begin.len() as u64);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(begin.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(begin)) {
            hint.set_upper(upper);
        }
        hint
    }
}

fn header_of(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(": ")?;
    let value = value.chars().map(u8::try_from).collect::<Result<Vec<u8>, _>>().ok()?;
    Some((name.parse().ok()?, HeaderValue::from_bytes(&value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_give_the_answer_back() {
        let mut parts = Response::new(()).into_parts().0;
        parts.status = StatusCode::CREATED;
        parts.headers.append("x-note", HeaderValue::from_bytes(b"caf\xe9").expect("it is valid"));
        parts.headers.append("x-note", HeaderValue::from_static("two"));
        parts.headers.append(header::SET_COOKIE, HeaderValue::from_static("session=1"));
        let answer = StoredAnswer::of(&parts, Bytes::from_static(b"\0body"));
        let text = answer.headers_as_text();
        assert_eq!(text, "x-note: caf\u{e9}\nx-note: two\n");
        let read = StoredAnswer::from_columns(answer.status(), &text, answer.body().to_vec());
        assert_eq!(read, Ok(answer));
    }

    #[test]
    fn an_edited_row_is_an_error() {
        assert!(StoredAnswer::from_columns(7, "", Vec::new()).is_err());
        assert!(StoredAnswer::from_columns(200, "no header", Vec::new()).is_err());
        assert!(StoredAnswer::from_columns(200, "x: \u{263a}", Vec::new()).is_err());
    }
}
