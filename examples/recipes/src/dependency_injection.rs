//! How do I hand a handler its dependencies?
//!
//! As in axum: a generic parameter for what the compiler should know, a trait object for what it need not. A handler with a
//! policy may be generic. The policy belongs to the handler, whatever the dependency is: the write is durable with the
//! database and with the fake of a test.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use followthrough::routing::get;
use followthrough::{Router, cancellable, durable_write};

/// Users, in a database or in memory.
pub trait Users: Clone + Send + Sync + 'static {
    /// Stores a user and the time.
    fn insert(&self, name: String, at: SystemTime) -> impl Future<Output = ()> + Send;
    /// Returns when the user was stored.
    fn since(&self, name: &str) -> impl Future<Output = Option<SystemTime>> + Send;
}

/// A clock. A closure is one.
pub trait Clock: Fn() -> SystemTime + Send + Sync + 'static {}

impl<F: Fn() -> SystemTime + Send + Sync + 'static> Clock for F {}

/// The dependencies.
#[derive(Clone)]
struct App<U> {
    users: U,
    clock: Arc<dyn Clock>,
}

#[durable_write]
async fn create<U: Users>(State(app): State<App<U>>, Path(name): Path<String>) -> StatusCode {
    app.users.insert(name, (app.clock)()).await;
    StatusCode::CREATED
}

#[cancellable(read)]
async fn show<U: Users>(
    State(app): State<App<U>>,
    Path(name): Path<String>,
) -> Result<String, StatusCode> {
    let since = app.users.since(&name).await.ok_or(StatusCode::NOT_FOUND)?;
    let age = (app.clock)().duration_since(since).unwrap_or_default();
    Ok(format!("{name} is here for {} s", age.as_secs()))
}

/// Returns the routes.
pub fn app<U: Users>(users: U, clock: impl Clock) -> Router {
    Router::new()
        .route("/users/{name}", get(show::<U>).post(create::<U>))
        .with_state(App { users, clock: Arc::new(clock) })
}

/// Users in memory.
pub mod in_memory {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::SystemTime;

    /// The users; a clone is the same list.
    #[derive(Clone, Debug, Default)]
    pub struct Users(Arc<Mutex<HashMap<String, SystemTime>>>);

    impl super::Users for Users {
        async fn insert(&self, name: String, at: SystemTime) {
            // A database answers later, too.
            tokio::task::yield_now().await;
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, at);
        }

        async fn since(&self, name: &str) -> Option<SystemTime> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::time::Duration;

    use followthrough::testing::disconnect_at_every_await;

    use super::*;
    use crate::ask::{ask, get, json};

    #[tokio::test]
    async fn the_write_lands_in_the_fake_and_the_clock_is_the_tests_own() {
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = seconds.clone();
        let clock = move || SystemTime::UNIX_EPOCH + Duration::from_secs(clock.load(SeqCst));
        let users = in_memory::Users::default();
        let app = app(users.clone(), clock);
        let summary =
            disconnect_at_every_await(app.clone(), json("POST", "/users/ann", ""), async |_| {
                assert!(users.since("ann").await.is_some(), "each begun write has landed");
            })
            .await;
        assert!(summary.begun() > 0, "{summary}");

        seconds.store(7, SeqCst);
        assert_eq!(ask(&app, get("/users/ann")).await.1, "ann is here for 7 s");
        assert_eq!(ask(&app, get("/users/bob")).await.0, StatusCode::NOT_FOUND);
    }
}
