//! Keys, and answers that are repeated or missing.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{body::Body, extract::Request, routing::post};
use followthrough::testing::Disconnects;
use http::{Response, StatusCode, header::RETRY_AFTER};
use tokio::task::yield_now;
use tower::{Service, service_fn};

use crate::shop::{Shop, app, keyed, order, with_store};

#[tokio::test]
async fn a_key_of_the_request_gets_a_suffix_in_each_run() {
    for (given, expected) in [("\"cart\"", "cart-"), ("cart", "cart-")] {
        let shop = Shop::default();
        let mut request = order();
        let key = given.parse().expect("it is a header");
        request.headers_mut().insert("idempotency-key", key);
        let search = Disconnects::default().lifecycle(with_store()).then_retry();
        let summary = search.at_every_await(app(&shop, post(keyed)), request, async |_| {
            // The write of a run was claimed once, whether by its first request or by its retry.
            assert_eq!(shop.take(), [1; 2]);
        });
        let summary = summary.await.unwrap_or_else(|failure| panic!("{failure}"));
        let mut keys = shop.keys.lock().expect("nothing panics").clone();
        assert_eq!(keys.len(), summary.runs());
        assert!(keys.iter().all(|key| key.starts_with(expected)), "{keys:?}");
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), summary.runs(), "each run has a key of its own");
    }
}

#[tokio::test]
async fn each_run_has_a_store_without_settings() {
    let shop = Shop::default();
    let search = Disconnects::default().then_retry();
    let summary = search.at_every_await(app(&shop, post(keyed)), order(), async |_| {
        assert_eq!(shop.take(), [1; 2]);
    });
    let summary = summary.await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(summary.begun() > 0, "{summary}");
}

/// A service that answers the requests of each key by their number.
fn numbered<F>(
    answer: impl Fn(u32) -> F + Clone + Send + Sync + 'static,
) -> impl Service<Request, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ Sync
+ 'static
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let seen = Arc::<Mutex<HashMap<String, u32>>>::default();
    service_fn(move |request: Request| {
        let key = request.headers()["idempotency-key"].to_str().expect("it is ASCII").to_owned();
        let mut seen = seen.lock().expect("nothing panics");
        let number = seen.entry(key).or_default();
        *number += 1;
        let answer = answer(*number);
        async move {
            yield_now().await;
            Ok(answer.await)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_on_until_its_answer_is_definite() {
    let service = numbered(async |number| {
        let status = match number {
            1 | 2 => StatusCode::SERVICE_UNAVAILABLE,
            3 => StatusCode::CONFLICT,
            _ => StatusCode::OK,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        if number == 3 {
            response.headers_mut().insert(RETRY_AFTER, "1".parse().expect("it is a header"));
        }
        response
    });
    let search = Disconnects::default().lifecycle(with_store()).then_retry();
    let summary = search.at_every_await(service, order(), async |run| {
        assert_eq!(run.retry().expect("there is one").status(), StatusCode::OK, "{run}");
    });
    let summary = summary.await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(summary.cut() > 0, "{summary}");
}

#[tokio::test]
async fn a_retry_without_an_answer_is_a_failure() {
    let service = numbered(async |number| {
        if number > 1 {
            pending::<()>().await;
        }
        Response::new(Body::empty())
    });
    let impatient = Disconnects::default().timeout(Duration::from_millis(50));
    let search = impatient.lifecycle(with_store()).then_retry();
    let failure = search.at_every_await(service, order(), async |_| ()).await;
    let said = failure.expect_err("the retry waits for ever").to_string();
    assert!(said.contains("the retry has no answer within 50ms"), "{said}");
}

#[tokio::test]
async fn without_then_retry_there_is_one_request() {
    let shop = Shop::default();
    let search = Disconnects::default().lifecycle(with_store());
    let mut request = order();
    request.headers_mut().insert("idempotency-key", "cart".parse().expect("it is a header"));
    let summary = search.at_every_await(app(&shop, post(keyed)), request, async |run| {
        assert!(run.retry().is_none(), "{run}");
    });
    summary.await.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(*shop.keys.lock().expect("nothing panics"), ["cart"], "one key, one write");
}
