//! How do I find all log lines of a request?
//!
//! A middleware gives each request an id, puts it into a span and into the answer. A durable write keeps the span of its
//! request, so its lines carry the id also after the client has left. Lines that the runtime writes are in the span, too.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use followthrough::routing::post;
use followthrough::{Router, durable_write};
use tokio::time::sleep;
use tracing::Instrument;

const ID: HeaderName = HeaderName::from_static("x-request-id");

#[durable_write]
async fn order() -> StatusCode {
    sleep(Duration::from_millis(1)).await; // the database
    tracing::info!("order stored");
    StatusCode::CREATED
}

async fn identify(request: Request, next: Next) -> Response {
    let given = request.headers().get(ID).filter(|id| id.len() <= 64).cloned();
    let id = given.unwrap_or_else(new_id);
    let span = tracing::info_span!("request", id = ?id, path = request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(ID, id);
    response
}

/// Returns a random id: the standard library seeds each of its hashers at random.
fn new_id() -> HeaderValue {
    HeaderValue::from(RandomState::new().build_hasher().finish())
}

/// Returns the routes.
pub fn app() -> Router {
    Router::new().route("/orders", post(order)).layer(middleware::from_fn(identify))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use axum::body::Body;
    use axum::http::Request;
    use followthrough::testing::disconnect_at_every_await;
    use tower::ServiceExt;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_line_of_a_write_whose_client_left_has_its_id() {
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt::layer().with_ansi(false);
        let lines = lines.with_writer(move || writer.clone());
        // The subscriber is global, because `tracing` remembers for all threads which events are wanted.
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");

        let request =
            Request::post("/orders").header(ID, "of-this-test").body(String::new()).unwrap();
        let mut expected = 0;
        let summary = disconnect_at_every_await(app(), request, async |cut| {
            expected += usize::from(cut.is_begun() || !cut.was_cut());
            let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            let stored = log.lines().filter(|line| line.contains("order stored"));
            let stored = stored.filter(|line| line.contains("of-this-test")).count();
            assert_eq!(stored, expected, "{log}");
        })
        .await;
        assert!(summary.begun() > 0, "{summary}");
    }

    #[tokio::test]
    async fn an_answer_has_the_id_of_its_request_or_a_new_one() {
        let request = Request::post("/orders").header(ID, "7").body(Body::empty()).unwrap();
        let Ok(answer) = app().oneshot(request).await;
        assert_eq!(answer.headers()[ID], "7");
        let request = Request::post("/orders").body(Body::empty()).unwrap();
        let Ok(answer) = app().oneshot(request).await;
        assert!(!answer.headers()[ID].is_empty());
    }
}
