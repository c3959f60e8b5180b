//! `DeadlineLayer` around clients that are tower services.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    routing::{get, post},
};
use bytes::Bytes;
use followthrough::{
    Cause, DurableToken, Outcome, RequestToken, cancellable, durable_write,
    outbound::{CallBody, CallError, DeadlineLayer, DeadlineService},
};
use followthrough_tests::{Marks, Server, h1, soon};
use futures_util::{poll, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::sync::oneshot;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{
    callee::{Callee, Door},
    cancelled, grpc,
};

type Network = DeadlineService<Client<HttpConnector, Empty<Bytes>>>;

#[derive(Clone)]
struct Shop {
    client: Network,
    url: String,
    marks: Marks,
}

impl Shop {
    fn new(url: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            client: DeadlineLayer::new().forward(grpc()).layer(client),
            url: url.trim_end_matches('/').to_owned(),
            marks: Marks::default(),
        }
    }

    /// Sends a request without a token of its own.
    async fn post(&self, path: &str) -> Result<(), CallError<hyper_util::client::legacy::Error>> {
        let request = Request::post(format!("{}{path}", self.url)).body(Empty::new());
        self.client.clone().oneshot(request.expect("a request")).await.map(drop)
    }
}

type Answer = Result<(), CallError<hyper_util::client::legacy::Error>>;

#[cancellable(read, deadline = "1h")]
async fn reads(State(shop): State<Shop>) -> Answer {
    shop.post("/read").await
}

#[cancellable(read, deadline = "1s")]
async fn reads_briefly(State(shop): State<Shop>) -> Answer {
    shop.post("/read").await
}

#[cancellable(read, deadline = "1h")]
async fn writes(State(shop): State<Shop>, cancel: RequestToken) -> Answer {
    shop.post("/now?before").await?;
    let client = cancel.clone();
    #[durable_write]
    let (charged, ()) = tokio::join!(shop.post("/charge"), async {
        client.cancelled().await;
        shop.marks.set("the client is gone");
    });
    shop.marks.set("landed");
    charged
}

#[durable_write(deadline = "1h")]
async fn reopens(State(shop): State<Shop>) -> Answer {
    shop.post("/now?durable").await?;
    #[cancellable(read)]
    let read = shop.post("/read").await;
    read
}

fn app(shop: &Shop) -> Router {
    Router::new()
        .route("/reads", get(reads))
        .route("/briefly", get(reads_briefly))
        .route("/writes", post(writes))
        .route("/reopens", post(reopens))
        .with_state(shop.clone())
}

#[tokio::test]
async fn the_layer_finds_the_token_of_the_running_request() {
    let callee = Callee::start().await;
    let server = Server::start(app(&Shop::new(&callee.url("")))).await;
    let call = h1::send(server.at, "GET", "/reads").await;
    callee.marks.until("asked /read").await;
    assert!(callee.told("/read").expect("a deadline").ends_with('m'));
    call.hang_up();
    callee.marks.until("left /read").await;
}

#[tokio::test]
async fn a_deadline_ends_the_call() {
    let callee = Callee::start().await;
    let server = Server::start(app(&Shop::new(&callee.url("")))).await;
    assert_eq!(h1::call(server.at, "GET", "/briefly").await.status, 504);
    callee.marks.until("left /read").await;
}

#[tokio::test]
async fn past_the_point_of_no_return_a_call_is_left_to_finish() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let server = Server::start(app(&shop)).await;
    let call = h1::send(server.at, "POST", "/writes").await;
    callee.marks.until("asked /charge").await;
    assert!(callee.told("/now?before").is_some());
    assert_eq!(callee.told("/charge"), None);
    call.hang_up();
    shop.marks.until("the client is gone").await;
    assert!(!callee.marks.has("left /charge"));
    callee.marks.set("go");
    shop.marks.until("landed").await;
}

#[tokio::test]
async fn a_reopened_statement_calls_under_the_request_again() {
    let callee = Callee::start().await;
    let server = Server::start(app(&Shop::new(&callee.url("")))).await;
    let call = h1::send(server.at, "POST", "/reopens").await;
    callee.marks.until("asked /read").await;
    assert_eq!(callee.told("/now?durable"), None);
    assert!(callee.told("/read").is_some());
    call.hang_up();
    callee.marks.until("left /read").await;
}

#[tokio::test]
async fn a_token_in_the_extensions_opens_no_connection_once_it_has_fired() {
    let door = Door::open().await;
    let shop = Shop::new(&door.url());
    let (token, handle) = RequestToken::new_pair();
    handle.cancel(Cause::DeadlineExceeded);
    let mut request = Request::post(door.url()).body(Empty::new()).expect("a request");
    request.extensions_mut().insert(token);
    let answer = shop.client.clone().oneshot(request).await;
    assert_eq!(cancelled(answer), Some((Cause::DeadlineExceeded, Outcome::NotBegun)));
    door.nobody_came().await;
}

/// Returns a request with `token` in its extensions.
fn under(token: &RequestToken) -> Request<()> {
    let mut request = Request::post("/").body(()).expect("a request");
    request.extensions_mut().insert(token.clone());
    request
}

fn whole<E>(answer: Result<Response<CallBody<Body>>, CallError<E>>) -> Option<u16> {
    Some(answer.ok()?.status().as_u16())
}

#[tokio::test]
async fn an_answer_in_the_same_instant_wins() {
    let (answer, answered) = oneshot::channel::<Response<Body>>();
    let answered = Arc::new(Mutex::new(Some(answered)));
    let callee = service_fn(move |_: Request<()>| {
        let answered = answered.lock().ok().and_then(|mut one| one.take());
        async move { answered.expect("it is asked once").await }
    });
    let (token, handle) = RequestToken::new_pair();
    let mut call = Box::pin(DeadlineLayer::new().layer(callee).oneshot(under(&token)));
    assert!(poll!(&mut call).is_pending());
    handle.cancel(Cause::DeadlineExceeded);
    answer.send(Response::new(Body::from("in time"))).expect("the call waits");
    let answer = call.await.expect("it is there");
    assert_eq!(answer.into_body().collect().await.expect("it is whole").to_bytes(), "in time");
}

#[tokio::test]
async fn a_callee_is_not_called_once_the_token_has_fired() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let callee = service_fn(move |_: Request<()>| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    });
    let mut client = DeadlineLayer::new().layer(callee);
    let (token, handle) = RequestToken::new_pair();
    assert_eq!(whole(client.ready().await.expect("ready").call(under(&token)).await), Some(200));
    handle.cancel(Cause::ShuttingDown);
    let answer = client.ready().await.expect("ready").call(under(&token)).await;
    assert_eq!(cancelled(answer), Some((Cause::ShuttingDown, Outcome::NotBegun)));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_call_that_was_kept_until_its_token_fired_is_never_polled() {
    let marks = Marks::default();
    let seen = marks.clone();
    let callee = service_fn(move |_: Request<()>| {
        let seen = seen.clone();
        async move {
            seen.set("polled");
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let (token, handle) = RequestToken::new_pair();
    let call = DeadlineLayer::new().layer(callee).call(under(&token));
    handle.cancel(Cause::DeadlineExceeded);
    assert_eq!(cancelled(call.await), Some((Cause::DeadlineExceeded, Outcome::Unknown)));
    assert_eq!(marks.all(), [""; 0]);
}

#[tokio::test]
async fn a_durable_token_wins_over_a_request_token() {
    let callee =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let (token, handle) = RequestToken::new_pair();
    handle.cancel(Cause::ClientDisconnected);
    let mut request = under(&token);
    request.extensions_mut().insert(DurableToken::never());
    assert_eq!(whole(DeadlineLayer::new().layer(callee).oneshot(request).await), Some(200));
}

#[tokio::test]
async fn a_call_that_was_cut_is_dropped_with_its_error() {
    let marks = Marks::default();
    let seen = marks.clone();
    let callee = service_fn(move |_: Request<()>| {
        let guard = seen.on_drop("dropped");
        async move {
            let _guard = guard;
            pending::<Result<Response<Body>, Infallible>>().await
        }
    });
    let (token, handle) = RequestToken::new_pair();
    let mut call = Box::pin(DeadlineLayer::new().layer(callee).oneshot(under(&token)));
    assert!(poll!(&mut call).is_pending());
    handle.cancel(Cause::ClientDisconnected);
    let answer = soon("the end of the call", &mut call).await;
    assert_eq!(cancelled(answer), Some((Cause::ClientDisconnected, Outcome::Unknown)));
    assert!(marks.has("dropped"), "although the future is kept");
}

/// Endless frames that are always ready. Like a socket, they take from the budget of the task.
fn endless() -> Body {
    Body::from_stream(stream::poll_fn(|cx| {
        let budget = ready!(tokio::task::coop::poll_proceed(cx));
        budget.made_progress();
        Poll::Ready(Some(Ok::<_, Infallible>(Bytes::from("x"))))
    }))
}

/// Reads an endless body.
#[cancellable(read, cooperative, deadline = "100ms")]
async fn reads_on(marks: State<Marks>, token: RequestToken) {
    let callee = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(endless())));
    let answer = DeadlineLayer::new().layer(callee).oneshot(under(&token)).await;
    let mut body = answer.expect("a head comes").into_body();
    loop {
        if let Err(error) = body.frame().await.expect("an error comes before the end") {
            marks.set(format!("{:?}", error.cancelled().map(|call| call.cause())));
            assert!(body.frame().await.is_none());
            return marks.set("the end");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_without_end_ends_with_its_deadline() {
    let marks = Marks::default();
    let reads = reads_on(State(marks.clone()), RequestToken::never());
    drop(soon("the end of the body, or its deadline", reads).await);
    marks.until("the end").await;
    assert_eq!(marks.all(), ["Some(DeadlineExceeded)", "the end"]);
}

type Silent = Request<Body>;

/// Calls a callee that never answers.
#[cancellable(read, deadline = "10s")]
async fn waits() -> Result<(), CallError<Infallible>> {
    let silent =
        service_fn(async |_: Silent| pending::<Result<Response<Body>, Infallible>>().await);
    DeadlineLayer::new().layer(silent).oneshot(Request::new(Body::empty())).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn under_a_paused_clock_a_call_ends_at_its_deadline() {
    let began = tokio::time::Instant::now();
    let answer = waits().await.into_result().expect_err("the callee does not answer");
    assert_eq!(answer.cause(), Cause::DeadlineExceeded);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_a_call_goes_through_as_it_is() {
    let callee = service_fn(async |request: Request<()>| {
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(request.headers().is_empty());
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let client = DeadlineLayer::new().forward(grpc()).layer(callee);
    assert_eq!(whole(client.oneshot(Request::new(())).await), Some(200));
}
