//! `run_until_cancelled` means the same on every token.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{Router, extract::State, routing::get};
use followthrough::{
    Cause, DurableToken, Lifecycle, LinkedToken, RequestToken, ShutdownToken, cancellable, link,
};
use followthrough_tests::{Marks, Server, h1, lifecycle, soon};
use tokio::{runtime::Handle, task::coop::consume_budget};
use tokio_util::sync::CancellationToken;

/// The kinds of tokens that have a `run_until_cancelled`.
enum Token {
    Request(RequestToken),
    Durable(DurableToken),
    Shutdown(ShutdownToken),
    Linked(LinkedToken),
}

impl Token {
    async fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        match self {
            Self::Request(token) => token.run_until_cancelled(future).await,
            Self::Durable(token) => token.run_until_cancelled(future).await,
            Self::Shutdown(token) => token.run_until_cancelled(future).await,
            Self::Linked(token) => token.run_until_cancelled(future).await,
        }
    }
}

type Fire = Box<dyn FnOnce()>;

/// Returns the token of a pair, and a link of two tokens.
fn request_and_linked() -> [(&'static str, Token, Fire); 2] {
    let (request, handle) = RequestToken::new_pair();
    let (source, other) = (CancellationToken::new(), CancellationToken::new());
    let linked = link([other, source.clone()]);
    let fire = move || {
        handle.cancel(Cause::ClientDisconnected);
    };
    [
        ("RequestToken", Token::Request(request), Box::new(fire)),
        ("LinkedToken", Token::Linked(linked), Box::new(move || source.cancel())),
    ]
}

/// Checks the law on one token: twice before it fires, and twice after.
fn law(name: &str, token: &Token, fire: Fire) {
    let cx = &mut Context::from_waker(Waker::noop());
    let ready = pin!(token.run(async { 1 })).poll(cx);
    assert_eq!(ready, Poll::Ready(Some(1)), "{name}: a ready future");

    // Both happen between two polls, and the future wins the tie.
    let mut polls = 0;
    let second = poll_fn(|_| {
        polls += 1;
        if polls == 2 { Poll::Ready(2) } else { Poll::Pending }
    });
    let mut tied = pin!(token.run(second));
    let mut lost = pin!(token.run(pending::<()>()));
    assert!(tied.as_mut().poll(cx).is_pending() && lost.as_mut().poll(cx).is_pending(), "{name}");
    fire();
    assert_eq!(tied.poll(cx), Poll::Ready(Some(2)), "{name}: the tie");
    assert_eq!(lost.poll(cx), Poll::Ready(None), "{name}: the token alone");

    let mut polled = false;
    let late = poll_fn(|_| {
        polled = true;
        Poll::Ready(3)
    });
    let ended = pin!(token.run(late)).poll(cx);
    assert_eq!((ended, polled), (Poll::Ready(None), false), "{name}: cancelled already");
}

/// Returns the tokens of a service, which its drain fires.
fn of_a_service() -> [(&'static str, Token, Fire); 2] {
    let token = |name, of: fn(&Lifecycle) -> Token| -> (&'static str, Token, Fire) {
        let lifecycle = lifecycle().build().expect("the test's lifecycle is sound");
        let token = of(&lifecycle);
        // The test polls by hand, so the drain runs between two polls.
        let fire = move || {
            lifecycle.shutdown();
            let drained = soon("the end of the drain", lifecycle.drained());
            tokio::task::block_in_place(|| Handle::current().block_on(drained));
        };
        (name, token, Box::new(fire))
    };
    [
        token("ShutdownToken", |lifecycle| Token::Shutdown(lifecycle.stopping())),
        token("DurableToken", |lifecycle| Token::Durable(lifecycle.grace_over())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn law_15a_run_until_cancelled_means_the_same_on_every_token() {
    for (name, token, fire) in request_and_linked().into_iter().chain(of_a_service()) {
        law(name, &token, fire);
    }
}

/// Is always ready and uses up the budget of its task in every poll.
async fn greedy(begun: Marks) {
    begun.set("begun");
    loop {
        consume_budget().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn law_15a_a_future_that_uses_up_its_budget_ends_with_every_token() {
    for (name, token, fire) in request_and_linked().into_iter().chain(of_a_service()) {
        let marks = Marks::default();
        let begun = marks.clone();
        let run = tokio::spawn(async move { token.run(greedy(begun)).await });
        marks.until("begun").await;
        fire();
        assert_eq!(soon(name, run).await.expect("nothing panics"), None);
    }
}

#[cancellable(read, deadline = "50ms")]
async fn asks_late(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    // The body reaches its safe point after the deadline in the same poll.
    while !token.is_cancelled() {
        std::thread::yield_now();
    }
    token.run_until_cancelled(async { marks.set("polled") }).await;
    marks.set("returned");
    "an answer of its own"
}

#[tokio::test]
async fn law_15a_run_until_cancelled_does_not_return_in_a_body_that_is_about_to_be_dropped() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(asks_late)).with_state(marks.clone());
    let server = Server::start(app).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 504);
    assert!(marks.all().is_empty(), "{:?}", marks.all());
}
