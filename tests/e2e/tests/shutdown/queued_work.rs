//! Messages in an in-memory queue when the service stops.

use axum::{Router, extract::State, routing::post};
use followthrough::{ShutdownToken, background, durable_write};
use followthrough_tests::{Marks, Server, h1};
use tokio::sync::mpsc;

/// The loop of the guide and of `#[background]`'s documentation.
#[background]
async fn relay(stop: ShutdownToken, mut queue: mpsc::Receiver<u32>, marks: Marks) {
    while let Some(Some(message)) = stop.run_until_cancelled(queue.recv()).await {
        publish(message, &marks).await;
    }
    queue.close();
    while let Some(message) = queue.recv().await {
        publish(message, &marks).await;
    }
}

/// Waits at the third message until the test continues.
async fn publish(message: u32, marks: &Marks) {
    if message == 3 {
        marks.set("at the third");
        marks.until("go").await;
    }
    marks.set(format!("sent {message}"));
}

#[durable_write]
async fn enqueue(State(queue): State<mpsc::Sender<u32>>) -> &'static str {
    for message in 1..=10 {
        queue.send(message).await.expect("the relay takes it");
    }
    "queued"
}

#[tokio::test]
async fn a_worker_that_empties_its_queue_sends_ten_of_ten() {
    let marks = Marks::default();
    let (sender, queue) = mpsc::channel(16);
    let app = Router::new().route("/", post(enqueue)).with_state(sender);
    let server = Server::start(app).await;
    let relayed = marks.clone();
    server.lifecycle.spawn("relay", |stop| relay(stop, queue, relayed));
    assert_eq!(h1::call(server.at, "POST", "/").await.body, "queued");
    marks.until("at the third").await;

    // All workers are told at once.
    let told = marks.clone();
    server.lifecycle.spawn("witness", async move |stop: ShutdownToken| {
        stop.cancelled().await;
        told.set("told");
    });
    server.lifecycle.shutdown();
    marks.until("told").await;
    marks.set("go");
    let report = server.ended().await;
    let sent = marks.all().iter().filter(|mark| mark.starts_with("sent")).count();
    assert_eq!((sent, report.abandoned.len(), report.exit_code()), (10, 0, 0), "{report}");
}
