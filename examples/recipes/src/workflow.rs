//! How do I start work that takes days, once?
//!
//! Such work outlives the process, so an engine does it: here a workflow of Restate, by its HTTP ingress. The id of the
//! workflow is derived from the client's `Idempotency-Key`, and the engine runs one workflow for each id. The start is a
//! durable statement, which asks until the engine answers. A retry joins it. A retry after a crash asks again with the
//! same id and finds the same workflow, which is why the handler has `after_crash = "again"`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{Request, StatusCode, header};
use followthrough::outbound::{DeadlineLayer, DeadlineService};
use followthrough::routing::post;
use followthrough::{IdempotencyKey, Router, cancellable};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt};

/// How long one attempt waits for the engine. The grace of a shutdown is the only other bound of a durable call.
const ATTEMPT: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Engine {
    ingress: Authority,
    client: DeadlineService<Client<HttpConnector, Body>>,
}

impl Engine {
    /// Asks until the engine has answered. An error that a later attempt can remove is not returned, because the answer
    /// of a handler past its point of no return is stored for all retries.
    async fn start(&self, id: &str, address: &str) -> StatusCode {
        let mut pause = Duration::from_millis(100);
        loop {
            match timeout(ATTEMPT, self.ask(id, address)).await {
                Ok(Ok(answer)) if answer.is_success() => return StatusCode::ACCEPTED,
                Ok(Ok(answer)) if is_final(answer) => {
                    tracing::error!(%answer, "the engine refuses the workflow");
                    return StatusCode::BAD_GATEWAY;
                }
                Ok(answer) => tracing::warn!(?answer, "the engine has not taken the workflow yet"),
                Err(_) => tracing::warn!("the engine does not answer"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    async fn ask(&self, id: &str, address: &str) -> Result<StatusCode, axum::BoxError> {
        // The path has the id. The engine answers `Accepted` or `PreviouslyAccepted`, both with 202.
        let path = format!("http://{}/restate/send/Shipment/{id}/run", self.ingress);
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(serde_json::to_vec(address)?))?;
        Ok(self.client.clone().oneshot(request).await?.status())
    }
}

/// Returns whether another attempt would be refused, too: the engine has no such workflow, or rejects its input.
fn is_final(answer: StatusCode) -> bool {
    let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&answer);
    answer.is_client_error() && !passes
}

#[cancellable(read, idempotency_key = "required", after_crash = "again")]
#[deadline = "10s"]
async fn ship(
    State(engine): State<Engine>,
    key: IdempotencyKey,
    address: String,
) -> (StatusCode, String) {
    let id = key.derive("shipment");
    #[durable_write]
    let status = engine.start(&id, &address).await;
    (status, id)
}

/// Returns the routes, for a lifecycle with idempotency keys. `ingress` is that of the engine, such as `127.0.0.1:8080`.
pub fn app(ingress: Authority) -> Router {
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let client = DeadlineLayer::new().layer(client);
    Router::new().route("/shipments", post(ship)).with_state(Engine { ingress, client })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use axum::extract::Path;
    use followthrough::testing::TestLifecycle;
    use followthrough_tests::{Marks, Server};

    use super::*;
    use crate::ask::ask;
    use crate::idempotency::keys;

    /// An engine that has started the workflows of these ids, each asked for so many times.
    #[derive(Clone, Default)]
    struct Fake {
        workflows: Arc<Mutex<BTreeMap<String, (String, usize)>>>,
        marks: Marks,
    }

    impl Fake {
        fn send(&self, id: String, body: String) -> StatusCode {
            let mut workflows = self.workflows.lock().unwrap();
            let (_, asked) = workflows.entry(id).or_insert((body, 0));
            *asked += 1;
            self.marks.set("asked");
            // The first answer of each workflow is lost behind the engine.
            if *asked == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::ACCEPTED }
        }

        /// Returns how often each workflow was asked for.
        fn asked(&self) -> Vec<usize> {
            self.workflows.lock().unwrap().values().map(|(_, asked)| *asked).collect()
        }
    }

    fn of(customer: &str) -> Request<String> {
        let request = Request::post("/shipments").header("x-customer", customer);
        request.header("idempotency-key", "\"8e03978e\"").body("1 High Street".to_owned()).unwrap()
    }

    /// Returns a process, whose store of keys is empty.
    fn process(at: &Server) -> (Router, TestLifecycle) {
        let lifecycle = TestLifecycle::with(|builder| builder.idempotency(keys()));
        (app(at.at.to_string().parse().unwrap()).layer(lifecycle.layer()), lifecycle)
    }

    #[tokio::test]
    async fn a_retry_finds_the_workflow_that_the_first_request_has_started() {
        let fake = Fake::default();
        let send = async |State(fake): State<Fake>, Path(id), body| fake.send(id, body);
        let route = axum::routing::post(send);
        let engine = axum::Router::new().route("/restate/send/Shipment/{id}/run", route);
        let engine = Server::start(engine.with_state(fake.clone())).await;

        let (app, _lifecycle) = process(&engine);
        let leaves = app.clone();
        let leaves = tokio::spawn(async move { ask(&leaves, of("ann")).await });
        fake.marks.until("asked").await;
        leaves.abort();
        let (status, id) = ask(&app, of("ann")).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        let [asked] = fake.asked()[..] else { panic!("one workflow: {:?}", fake.asked()) };
        assert!(asked > 1, "the engine is asked until it answers");
        let (address, _) = fake.workflows.lock().unwrap()[&id].clone();
        assert_eq!(address, "\"1 High Street\"");

        let (restarted, _lifecycle) = process(&engine);
        assert_eq!(ask(&restarted, of("ann")).await, (StatusCode::ACCEPTED, id.clone()));
        let [again] = fake.asked()[..] else { panic!("one workflow: {:?}", fake.asked()) };
        assert!(again > asked, "the other process has asked, too");

        assert_ne!(ask(&restarted, of("bob")).await.1, id, "another customer, the same key");
        assert_eq!(fake.asked().len(), 2);
        engine.stop().await;
    }

    #[tokio::test]
    async fn a_workflow_that_the_engine_does_not_have_is_an_answer() {
        let engine = Server::start(axum::Router::new()).await;
        let (app, _lifecycle) = process(&engine);
        assert_eq!(ask(&app, of("ann")).await.0, StatusCode::BAD_GATEWAY);
        engine.stop().await;
    }
}
