//! Calls to other services: the deadlines that they carry, and the signals that end them.

mod callee;
mod endings;
mod hops;
mod layer;

use std::error::Error;

use followthrough::{
    Cause, Outcome,
    outbound::{CallError, CancelledCall, DeadlineHeaders},
};
use followthrough_tests::Marks;

type Answer<T> = Result<T, CallError<reqwest::Error>>;

/// The client and the callee of the handlers.
#[derive(Clone)]
struct Shop {
    client: reqwest::Client,
    /// The address of the callee.
    url: String,
    marks: Marks,
}

impl Shop {
    fn new(url: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { client: reqwest::Client::new(), url, marks: Marks::default() }
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }
}

fn grpc() -> DeadlineHeaders {
    DeadlineHeaders::new().grpc_timeout()
}

fn cancelled<T, E>(answer: Result<T, CallError<E>>) -> Option<(Cause, Outcome)> {
    let cancelled = answer.err()?.cancelled()?;
    Some((cancelled.cause(), cancelled.outcome()))
}

/// Returns the cause among the sources of a foreign error.
fn cancelled_within(error: &(dyn Error + 'static)) -> Option<CancelledCall> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(cancelled) = error.downcast_ref::<CancelledCall>() {
            return Some(*cancelled);
        }
        next = error.source();
    }
    None
}
