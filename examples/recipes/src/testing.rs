//! How do I test a handler and its policy?
//!
//! The handler below reads, and then writes twice. Its tests call it as a function, ask the router, pass its deadline with a
//! paused clock, shut it down, and disconnect its client at each `.await`, in the process and over a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::routing::post;
use followthrough::{Router, cancellable};
use tokio::time::sleep;

/// A shop; a clone is the same one.
#[derive(Clone, Debug)]
pub struct Shop {
    /// How long a quote takes.
    pub quote: Duration,
    charged: Arc<AtomicU32>,
    shipped: Arc<AtomicU32>,
}

impl Shop {
    /// Returns a shop without orders.
    pub fn new(quote: Duration) -> Self {
        Self { quote, charged: Arc::default(), shipped: Arc::default() }
    }

    async fn count(count: &AtomicU32) {
        sleep(Duration::from_millis(1)).await;
        count.fetch_add(1, SeqCst);
    }
}

#[cancellable(read)]
#[deadline = "2s"]
async fn buy(State(shop): State<Shop>) -> StatusCode {
    sleep(shop.quote).await;

    #[durable_write]
    Shop::count(&shop.charged).await;

    #[durable_write]
    Shop::count(&shop.shipped).await;

    StatusCode::CREATED
}

/// Returns the routes.
pub fn app(shop: Shop) -> Router {
    Router::new().route("/orders", post(buy)).with_state(shop)
}

#[cfg(test)]
mod tests {
    use followthrough::testing::{
        Disconnect, Disconnects, TestLifecycle, disconnect_at_every_await,
    };

    use super::*;
    use crate::ask::{ask, json};

    const QUICK: Duration = Duration::from_millis(1);

    fn counts(shop: &Shop) -> (u32, u32) {
        (shop.charged.load(SeqCst), shop.shipped.load(SeqCst))
    }

    #[tokio::test]
    async fn a_handler_is_a_function() {
        let shop = Shop::new(QUICK);
        assert_eq!(buy(State(shop.clone())).await.into_result(), Ok(StatusCode::CREATED));
        assert_eq!(counts(&shop), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_before_the_charge_is_a_504_and_nothing_was_charged() {
        let shop = Shop::new(Duration::from_secs(3));
        let (status, problem) = ask(&app(shop.clone()), json("POST", "/orders", "")).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        assert!(problem.contains(r#""outcome":"not_begun""#), "{problem}");
        assert_eq!(counts(&shop), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_before_the_charge_is_a_503() {
        let shop = Shop::new(Duration::from_secs(1));
        let lifecycle = TestLifecycle::new();
        let app = app(shop.clone()).layer(lifecycle.layer());
        let asked = tokio::spawn(async move { ask(&app, json("POST", "/orders", "")).await });
        tokio::task::yield_now().await; // the quote begins
        lifecycle.stop().await;
        assert_eq!(asked.await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(counts(&shop), (0, 0));
    }

    #[tokio::test]
    async fn what_is_charged_is_shipped_wherever_the_client_leaves() {
        let shop = Shop::new(QUICK);
        let order = json("POST", "/orders", "");
        let summary = disconnect_at_every_await(app(shop.clone()), order, async |_| {
            let (charged, shipped) = counts(&shop);
            assert_eq!(charged, shipped);
        })
        .await;
        assert!(summary.begun() > 0 && summary.begun() < summary.cut(), "{summary}");
    }

    #[tokio::test]
    async fn the_same_holds_over_a_socket() {
        let shop = Shop::new(QUICK);
        let order = json("POST", "/orders", "");
        let summary = Disconnects::default()
            .by(Disconnect::OVER_THE_WIRE)
            .at_every_await(app(shop.clone()), order, async |_| {
                let (charged, shipped) = counts(&shop);
                assert_eq!(charged, shipped);
            })
            .await
            .unwrap_or_else(|failure| panic!("{failure}"));
        assert!(summary.begun() > 0, "{summary}");
    }
}
