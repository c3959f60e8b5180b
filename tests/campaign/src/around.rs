//! Middleware around a handler: it gives the request its [`Visit`], panics when told to, and
//! reports when it is dropped.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};

use crate::visit::{Visit, Watch};

/// The requests that a service expects, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected(Arc<Mutex<HashMap<i64, Visit>>>);

impl Expected {
    pub(crate) fn add(&self, visit: Visit) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(visit.id, visit);
    }

    /// Removes and returns a visit. The first caller gets it: the request, or a driver that has
    /// given it up.
    pub(crate) fn take(&self, id: i64) -> Option<Visit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

/// Reports that the surrounding future or body is dropped.
struct Around(Arc<Watch>);

impl Drop for Around {
    fn drop(&mut self) {
        self.0.dropped_around();
    }
}

pub(crate) async fn around(
    State(expected): State<Expected>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request.uri().path().rsplit('/').next().and_then(|id| id.parse().ok());
    let Some(visit) = id.and_then(|id| expected.take(id)) else { return next.run(request).await };
    let (around, answers) = (Around(visit.watch().clone()), visit.clone());
    request.extensions_mut().insert(visit);
    let mut inner = pin!(next.run(request));
    let response = poll_fn(|cx| {
        around.0.polled_around(cx);
        inner.as_mut().poll(cx)
    })
    .await;
    let pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>> =
        Some(Box::pin(async move { answers.pause(ANSWER).await }));
    response.map(|body| Body::new(AroundBody { body, around, pause }))
}

/// The stage between the head of a response and its body.
pub(crate) const ANSWER: &str = "answer";

/// A response body that reports its drop.
struct AroundBody {
    body: Body,
    around: Around,
    /// The pause between the head and the body.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl http_body::Body for AroundBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.around.0.polled_around(cx);
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.pause.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
