//! `max_in_flight` of a handler counts the calls of other handlers, too, and counts for each
//! lifecycle alone.

use std::future::Future;

use axum::{
    Router,
    extract::{Path, State},
    routing::post,
};
use followthrough::{Cancelled, cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1, lifecycle, soon};

/// A handler that runs one call at a time, whichever handler calls it.
#[durable_write(max_in_flight = 1, internal)]
async fn charge(marks: Marks, id: String) -> String {
    marks.set(format!("charging {id}"));
    marks.until("go").await;
    marks.set(format!("charged {id}"));
    format!("charged {id}")
}

fn told(outcome: Result<String, Cancelled>) -> String {
    outcome.unwrap_or_else(|refused| format!("{} {}", refused.cause(), refused.outcome()))
}

/// Calls `charge` past its own point of no return.
#[durable_write]
async fn order(State(marks): State<Marks>, Path(id): Path<String>) -> String {
    marks.set(format!("ordered {id}"));
    told(charge(marks, id).await.into_result())
}

/// Calls `charge` within a durable statement.
#[cancellable(read)]
async fn order_in_a_site(State(marks): State<Marks>, Path(id): Path<String>) -> String {
    marks.set(format!("ordered {id}"));
    #[durable_write]
    let charged = charge(marks, id).await.into_result();
    told(charged)
}

/// Calls `charge` before any point of no return of its own.
#[cancellable(read)]
async fn look_and_charge(State(marks): State<Marks>, Path(id): Path<String>) -> String {
    told(charge(marks, id).await.into_result())
}

/// Calls `charge` in another task.
#[durable_write]
async fn order_in_a_task(State(marks): State<Marks>, Path(id): Path<String>) -> String {
    let mut charging = Box::pin(async move { charge(marks, id).await.into_result() });
    // The call begins here and goes on in the other task.
    let begun = std::future::poll_fn(|cx| std::task::Poll::Ready(charging.as_mut().poll(cx))).await;
    match begun {
        std::task::Poll::Ready(outcome) => told(outcome),
        std::task::Poll::Pending => told(tokio::spawn(charging).await.unwrap()),
    }
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/order/{id}", post(order))
        .route("/site/{id}", post(order_in_a_site))
        .route("/read/{id}", post(look_and_charge))
        .route("/task/{id}", post(order_in_a_task))
        .with_state(marks.clone())
}

const REFUSED: &str = "limit_reached not_begun";

async fn idle(server: &Server) {
    soon("the end of all work", async {
        while !server.lifecycle.in_flight().work.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_limit_holds_for_a_handler_that_others_call() {
    for path in ["/order", "/site", "/read", "/task"] {
        let marks = Marks::default();
        let server = Server::start(app(&marks)).await;
        let mut first = h1::send(server.at, "POST", &format!("{path}/1")).await;
        marks.until("charging 1").await;
        for id in 2..5 {
            let answer = h1::call(server.at, "POST", &format!("{path}/{id}")).await;
            assert_eq!((answer.status, &*answer.body), (200, REFUSED), "{path}");
        }
        marks.set("go");
        assert_eq!(first.answer().await.body, "charged 1", "{path}");
        let next = h1::call(server.at, "POST", &format!("{path}/5")).await;
        assert_eq!(next.body, "charged 5", "{path}: the count came back");
        assert!(!(2..5).any(|id| marks.has(&format!("charging {id}"))), "{path}");
        let report = server.stop().await;
        assert_eq!((report.cancelled.refused, report.exit_code()), (0, 0), "{path} {report}");
    }
}

#[tokio::test]
async fn a_call_whose_client_has_left_counts_until_it_ends() {
    for path in ["/order", "/site", "/read", "/task"] {
        let marks = Marks::default();
        let server = Server::start(app(&marks)).await;
        let first = h1::send(server.at, "POST", &format!("{path}/1")).await;
        marks.until("charging 1").await;
        first.hang_up();
        soon("its detachment", async {
            while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let second = h1::call(server.at, "POST", &format!("{path}/2")).await;
        assert_eq!(second.body, REFUSED, "{path}");
        marks.set("go");
        marks.until("charged 1").await;
        idle(&server).await;
        let third = h1::call(server.at, "POST", &format!("{path}/3")).await;
        assert_eq!(third.body, "charged 3", "{path}: the count came back");
        server.stop().await;
    }
}

#[tokio::test]
async fn each_lifecycle_counts_for_itself() {
    let marks = [Marks::default(), Marks::default()];
    let servers = [Server::start(app(&marks[0])).await, Server::start(app(&marks[1])).await];
    let mut calls = Vec::new();
    for (server, marks) in servers.iter().zip(&marks) {
        calls.push(h1::send(server.at, "POST", "/order/1").await);
        marks.until("charging 1").await;
        assert_eq!(h1::call(server.at, "POST", "/order/2").await.body, REFUSED);
    }
    for marks in &marks {
        marks.set("go");
    }
    for mut call in calls {
        assert_eq!(call.answer().await.body, "charged 1");
    }
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_call_that_the_service_refuses_takes_no_permit_of_the_handler() {
    let marks = Marks::default();
    let builder = lifecycle().max_durable_writes(1);
    let other = Router::new().route("/other", post(other)).with_state(marks.clone());
    let app = app(&marks).merge(other);
    let server = Server::with(builder, app).await;
    let mut other = h1::send(server.at, "POST", "/other").await;
    marks.until("other").await;
    assert_eq!(h1::call(server.at, "POST", "/read/1").await.body, REFUSED);
    marks.set("go");
    assert_eq!(other.answer().await.status, 200);
    idle(&server).await;
    assert_eq!(h1::call(server.at, "POST", "/read/2").await.body, "charged 2");
    server.stop().await;
}

#[durable_write]
async fn other(State(marks): State<Marks>) {
    marks.set("other");
    marks.until("go").await;
}

#[durable_write(internal, max_in_flight = 1)]
async fn guarded() -> &'static str {
    let _undo = followthrough::compensate(async {});
    "done"
}

#[cancellable(read)]
async fn calls_guarded() -> String {
    told(guarded().await.into_result().map(str::to_owned))
}

#[tokio::test]
async fn a_callee_that_compensates_takes_its_own_limit_once() {
    let server = Server::start(Router::new().route("/", post(calls_guarded))).await;
    for _ in 0..3 {
        assert_eq!(h1::call(server.at, "POST", "/").await.body, "done");
        idle(&server).await;
    }
    server.stop().await;
}
