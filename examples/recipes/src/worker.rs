//! How do I run a background worker that loses nothing at a shutdown?
//!
//! The worker is `#[background]`: its token fires when the requests have drained, so that no write adds to a queue that
//! is emptied already. It waits for a mail under its token, sends each mail outside of it, and then empties the queue. Adding
//! to the queue is a durable write. A mail that has to survive a crash belongs in a table.

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::routing::post;
use followthrough::{Lifecycle, Router, ShutdownToken, background, durable_write};
use tokio::sync::mpsc;

/// Sends a mail.
pub trait Mailer: Send + 'static {
    /// Sends a mail.
    fn send(&mut self, mail: String) -> impl Future<Output = ()> + Send;
}

#[durable_write]
async fn enqueue(State(queue): State<mpsc::Sender<String>>, mail: String) -> StatusCode {
    match queue.send(mail).await {
        Ok(()) => StatusCode::ACCEPTED,
        // The worker has ended.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[background]
async fn deliver(stop: ShutdownToken, mut queue: mpsc::Receiver<String>, mut mailer: impl Mailer) {
    while let Some(Some(mail)) = stop.run_until_cancelled(queue.recv()).await {
        mailer.send(mail).await;
    }
    // A later `send` is an error, and no mail is lost silently.
    queue.close();
    while let Some(mail) = queue.recv().await {
        mailer.send(mail).await;
    }
}

/// Starts the worker and returns the routes.
pub fn app(lifecycle: &Lifecycle, mailer: impl Mailer) -> Router {
    let (sender, queue) = mpsc::channel(64);
    lifecycle.spawn("mailer", |stop| deliver(stop, queue, mailer));
    Router::new().route("/mails", post(enqueue)).with_state(sender)
}

/// A mailer that prints.
#[derive(Clone, Copy, Debug)]
pub struct Printer;

impl Mailer for Printer {
    async fn send(&mut self, mail: String) {
        println!("mail: {mail}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use followthrough::testing::TestLifecycle;

    use super::*;
    use crate::ask::{ask, json};

    #[derive(Clone, Default)]
    struct Slow(Arc<Mutex<Vec<String>>>);

    impl Mailer for Slow {
        async fn send(&mut self, mail: String) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.0.lock().unwrap().push(mail);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_waits_until_the_queue_is_empty() {
        let lifecycle = TestLifecycle::new();
        let mailer = Slow::default();
        let app = app(lifecycle.lifecycle(), mailer.clone()).layer(lifecycle.layer());
        for mail in ["1", "2", "3"] {
            assert_eq!(ask(&app, json("POST", "/mails", mail)).await.0, StatusCode::ACCEPTED);
        }
        let report = lifecycle.drained().await;
        assert_eq!(*mailer.0.lock().unwrap(), ["1", "2", "3"]);
        assert_eq!(report.exit_code(), 0, "{report}");
        assert_eq!(ask(&app, json("POST", "/mails", "4")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
