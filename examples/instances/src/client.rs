//! A client that repeats its order until it has a definite answer.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use axum::{body::Body, http::Request};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::{Instant, sleep, timeout};

use crate::service::Order;

/// After this time an order without an answer counts as an error.
const LONGEST: Duration = Duration::from_mins(1);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    invites_a_retry: bool,
}

impl Answer {
    /// Returns whether the client may send the same request again, and has to.
    fn is_repeatable(&self) -> bool {
        matches!(self.status, 502..=504) || (self.status == 409 && self.invites_a_retry)
    }
}

/// A client with its own keep-alive connections.
#[derive(Debug)]
pub(crate) struct Client {
    http: Http<HttpConnector, Body>,
    /// The address of the proxy.
    at: SocketAddr,
    pub(crate) orders: Orders,
}

/// The orders and the answers of a client, or of all clients together.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// The acknowledged orders.
    pub(crate) acknowledged: Vec<Order>,
    pub(crate) sent: u32,
    pub(crate) requests: u32,
    /// Why requests were repeated, and how often.
    pub(crate) repeated: BTreeMap<String, u32>,
    /// Answers that do not let the client repeat its request.
    pub(crate) errors: Vec<String>,
}

impl Client {
    pub(crate) fn new(at: SocketAddr) -> Self {
        let http = Http::builder(TokioExecutor::new()).build_http();
        Self { http, at, orders: Orders::default() }
    }

    /// Orders `item` as `customer` under the key `item`, as often as it takes. The client hangs up on the first request
    /// after `patience`.
    pub(crate) async fn order(&mut self, customer: &str, item: &str, patience: Option<Duration>) {
        let since = Instant::now();
        let mut patience = patience.unwrap_or(LONGEST);
        self.orders.sent += 1;
        while since.elapsed() < LONGEST {
            self.orders.requests += 1;
            let reason = match timeout(patience, self.post(customer, item)).await {
                Err(_) => "hung up".to_owned(),
                Ok(Err(_)) => "no answer".to_owned(),
                Ok(Ok(answer)) if answer.is_repeatable() => answer.status.to_string(),
                Ok(Ok(answer)) => return self.note(&answer, customer, item),
            };
            *self.orders.repeated.entry(reason).or_default() += 1;
            patience = LONGEST;
            sleep(Duration::from_millis(20)).await;
        }
        self.orders.errors.push(format!("`{item}` has no answer after {LONGEST:?}"));
    }

    /// Notes the answer that ends the repetitions.
    fn note(&mut self, answer: &Answer, customer: &str, item: &str) {
        match serde_json::from_str::<Order>(&answer.body) {
            Ok(order)
                if matches!(answer.status, 200 | 201)
                    && order.customer == customer
                    && order.item == item =>
            {
                self.orders.acknowledged.push(order);
            }
            _ => self.orders.errors.push(format!("`{item}` was answered {answer:?}")),
        }
    }

    async fn post(&self, customer: &str, item: &str) -> Result<Answer, axum::BoxError> {
        let request = Request::post(format!("http://{}/orders", self.at))
            .header("x-customer", customer)
            .header("idempotency-key", format!("\"{item}\""))
            .header("content-type", "application/json")
            .body(Body::from(format!(r#"{{"item":"{item}"}}"#)))?;
        self.ask(request).await
    }

    /// Sends `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, axum::BoxError> {
        self.ask(Request::get(format!("http://{}{path}", self.at)).body(Body::empty())?).await
    }

    async fn ask(&self, request: Request<Body>) -> Result<Answer, axum::BoxError> {
        let (head, body) = self.http.request(request).await?.into_parts();
        let body = axum::body::to_bytes(Body::new(body), 1 << 20).await?;
        Ok(Answer {
            status: head.status.as_u16(),
            body: String::from_utf8(body.into())?,
            invites_a_retry: head.headers.contains_key("retry-after"),
        })
    }
}

impl Orders {
    /// Adds those of another client.
    pub(crate) fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.sent += other.sent;
        self.requests += other.requests;
        for (reason, count) in other.repeated {
            *self.repeated.entry(reason).or_default() += count;
        }
        self.errors.extend(other.errors);
    }
}
