//! How do I stop work on a blocking thread?
//!
//! Dropping a handler does not stop its `spawn_blocking`. The handler is `cooperative`: it is not dropped, its token fires,
//! and the loop on the thread asks the token between two steps. The client is answered at once, as for any read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use followthrough::routing::get;
use followthrough::{RequestToken, Router, cancellable};

/// How many steps all requests have made; a clone is the same number.
#[derive(Clone, Debug, Default)]
pub struct Steps(Arc<AtomicU64>);

#[cancellable(read, cooperative)]
#[deadline = "30s"]
async fn count_primes(
    State(Steps(steps)): State<Steps>,
    cancel: RequestToken,
    Path(below): Path<u64>,
) -> Result<String, StatusCode> {
    let counting = tokio::task::spawn_blocking(move || {
        let numbers = (2..below).take_while(|_| {
            steps.fetch_add(1, SeqCst);
            !cancel.is_cancelled()
        });
        let primes = numbers.filter(|number| is_prime(*number)).count();
        tracing::info!(primes, stopped = cancel.is_cancelled(), "counted");
        primes
    });
    let counted = counting.await.map_err(|error| {
        tracing::error!(%error, "the count failed");
        StatusCode::INTERNAL_SERVER_ERROR
    });
    Ok(counted?.to_string())
}

fn is_prime(number: u64) -> bool {
    (2..=number.isqrt()).all(|divisor| !number.is_multiple_of(divisor))
}

/// Returns the routes.
pub fn app(steps: Steps) -> Router {
    Router::new().route("/primes/{below}", get(count_primes)).with_state(steps)
}

#[cfg(test)]
mod tests {
    use followthrough_tests::{Server, h1, soon};

    use super::*;

    #[tokio::test]
    async fn a_client_that_leaves_stops_the_thread() {
        let steps = Steps::default();
        let server = Server::start(app(steps.clone()).into_axum()).await;
        assert_eq!(h1::call(server.at, "GET", "/primes/20").await.body, "8");

        // Without the token, this count would take years.
        let call = h1::send(server.at, "GET", &format!("/primes/{}", u64::MAX)).await;
        let begun = async {
            while steps.0.load(SeqCst) < 1_000 {
                tokio::task::yield_now().await;
            }
        };
        soon("the count", begun).await;
        call.hang_up();
        let noticed = async {
            while server.lifecycle.counts().cancelled.client_disconnected == 0 {
                tokio::task::yield_now().await;
            }
        };
        soon("the disconnect", noticed).await;
        // The drain waits for cooperative work.
        let report = server.stop().await;
        assert_eq!(report.exit_code(), 0, "{report}");
    }
}
