//! An answer as the client of a run received it.

use std::{fmt, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::BodyExt;

use super::exchange::BoxError;
use crate::idempotency::REPLAYED;

/// How much of a body a message shows.
const SHOWN: usize = 200;
/// The longest pause before a request is sent again, so that a test ends soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A whole answer, as the client of a run received it.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// Reads a response to its end.
    pub(super) async fn read<B>(response: Response<B>) -> Result<Self, BoxError>
    where
        B: http_body::Body<Error: Into<BoxError>>,
    {
        let (head, body) = response.into_parts();
        let mut body = std::pin::pin!(body);
        let mut whole = BytesMut::new();
        // Like a server, this does not poll a body that says that it has ended.
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else { break };
            if let Ok(data) = frame.map_err(Into::into)?.into_data() {
                whole.put(data);
            }
        }
        Ok(Self { status: head.status, headers: head.headers, body: whole.freeze() })
    }

    /// Returns the status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns whether the answer is that of an earlier request with the same `Idempotency-Key`.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.headers.contains_key(REPLAYED)
    }

    /// Returns whether a client sends its request again after this answer.
    pub(super) fn invites_retry(&self) -> bool {
        let invites = self.status == StatusCode::SERVICE_UNAVAILABLE
            || self.headers.contains_key(RETRY_AFTER);
        invites && !self.is_replayed()
    }

    /// Returns how long a client waits before it sends its request again.
    pub(super) fn pause(&self) -> Duration {
        let seconds =
            self.headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        seconds.map_or(LONGEST_PAUSE, Duration::from_secs).min(LONGEST_PAUSE)
    }

    /// Returns why `retry` is not the same answer.
    pub(super) fn differs_from(&self, retry: &Self) -> Option<String> {
        let same = self.status == retry.status && self.body == retry.body;
        (!same).then(|| {
            format!(
                "the retry with the same `Idempotency-Key` has another answer\n  first: {} {}\n  retry: {} {}",
                self.status,
                shown(&self.body),
                retry.status,
                shown(&retry.body),
            )
        })
    }
}

fn shown(body: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    let more = if body.len() > SHOWN { "…" } else { "" };
    format!("{shown:?}{more}")
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if self.is_replayed() { f.write_str(", replayed") } else { Ok(()) }
    }
}
