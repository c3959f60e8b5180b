//! How do I undo what a client no longer waits for?
//!
//! A seat on hold for a client that does not know of it would stay on hold for ever. The handler is a `reversible_write`: when
//! the client leaves before the answer, `release` gives the seat back. The number of the hold is an argument, so that the
//! compensation knows it wherever the body is cut.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, State};
use axum::http::{StatusCode, request::Parts};
use followthrough::routing::post;
use followthrough::{Router, cancellable};
use tokio::task::yield_now;

/// The holds; a clone is the same list.
#[derive(Clone, Debug, Default)]
pub struct Seats(Arc<Mutex<HashSet<u64>>>);

impl Seats {
    fn held(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn hold(&self, number: u64) {
        yield_now().await; // the database
        self.held().insert(number);
    }
}

/// A number that no other hold has.
struct NewNumber(u64);

impl<S: Sync> FromRequestParts<S> for NewNumber {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Ok(Self(LAST.fetch_add(1, SeqCst) + 1))
    }
}

#[cancellable(reversible_write, on_cancel = release(seats.clone(), number))]
#[deadline = "10s"]
async fn hold(State(seats): State<Seats>, NewNumber(number): NewNumber) -> (StatusCode, String) {
    seats.hold(number).await;
    yield_now().await; // the price, from another service
    (StatusCode::CREATED, number.to_string())
}

/// Undoes `hold`, however far it came.
async fn release(seats: Seats, number: u64) {
    yield_now().await; // the database
    seats.held().remove(&number);
}

/// Returns the routes.
pub fn app(seats: Seats) -> Router {
    Router::new().route("/holds", post(hold)).with_state(seats)
}

#[cfg(test)]
mod tests {
    use followthrough::testing::disconnect_at_every_await;

    use super::*;
    use crate::ask::json;

    #[tokio::test]
    async fn no_seat_is_on_hold_for_a_client_that_left() {
        let seats = Seats::default();
        let mut answered = 0;
        let request = json("POST", "/holds", "");
        let summary = disconnect_at_every_await(app(seats.clone()), request, async |cut| {
            answered += usize::from(!cut.was_cut());
            assert_eq!(seats.held().len(), answered);
        })
        .await;
        assert!(summary.cut() >= 4 && summary.begun() == 0, "{summary}");
    }
}
