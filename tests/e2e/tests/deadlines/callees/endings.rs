//! The signals that end a call through reqwest.

use std::{thread, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    routing::{get, post},
};
use followthrough::{
    Cause, DurableToken, Outcome, RequestToken, cancellable, durable_write,
    outbound::{CallError, RequestBuilderExt},
};
use followthrough_tests::{Log, Server, h1, lifecycle, soon};
use http::Response;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    Answer, Shop,
    callee::{Callee, Door},
    cancelled, cancelled_within,
};

const MS: Duration = Duration::from_millis(1);

#[cancellable(read)]
async fn reads(State(shop): State<Shop>, token: RequestToken) -> Answer<String> {
    let answer = shop.get("/read").under(&token).send().await?;
    answer.text().await.map_err(CallError::Failed)
}

#[cancellable(read, deadline = "1s")]
async fn reads_briefly(State(shop): State<Shop>, token: RequestToken) -> Answer<()> {
    shop.get("/read").under(&token).send().await?;
    Ok(())
}

async fn charge(shop: &Shop, token: &DurableToken) -> Answer<()> {
    shop.post("/charge").under(token).send().await?;
    shop.marks.set("charged");
    Ok(())
}

#[cancellable(read, deadline = "1h")]
async fn writes(State(shop): State<Shop>, cancel: RequestToken) -> Answer<()> {
    let client = cancel.clone();
    #[durable_write]
    let (charged, ()) = tokio::join!(charge(&shop, &cancel), async {
        client.cancelled().await;
        shop.marks.set("the client is gone");
    });
    shop.marks.set("landed");
    charged
}

#[durable_write(deadline = "1s")]
async fn writes_late(State(shop): State<Shop>, token: DurableToken) -> Answer<()> {
    charge(&shop, &token).await
}

fn app(shop: &Shop) -> Router {
    Router::new()
        .route("/reads", get(reads))
        .route("/briefly", get(reads_briefly))
        .route("/writes", post(writes))
        .route("/late", post(writes_late))
        .with_state(shop.clone())
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call_of_a_read() {
    let callee = Callee::start().await;
    let server = Server::start(app(&Shop::new(&callee.url("")))).await;
    let call = h1::send(server.at, "GET", "/reads").await;
    callee.marks.until("asked /read").await;
    call.hang_up();
    callee.marks.until("left /read").await;
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_the_call_of_a_durable_write() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let server = Server::start(app(&shop)).await;
    let call = h1::send(server.at, "POST", "/writes").await;
    callee.marks.until("asked /charge").await;
    call.hang_up();
    shop.marks.until("the client is gone").await;
    assert!(!callee.marks.has("left /charge"));
    callee.marks.set("go");
    shop.marks.until("landed").await;
    assert_eq!(shop.marks.all(), ["the client is gone", "charged", "landed"]);
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_answers() {
    let callee = Callee::start().await;
    let server = Server::start(app(&Shop::new(&callee.url("")))).await;
    let answer = h1::call(server.at, "GET", "/briefly").await;
    assert_eq!(answer.status, 504);
    assert!(answer.body.contains("\"cause\":\"deadline_exceeded\""), "{}", answer.body);
    callee.marks.until("left /read").await;
}

#[tokio::test]
async fn a_deadline_does_not_end_the_call_of_a_durable_write() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let server = Server::start(app(&shop)).await;
    let answer = h1::call(server.at, "POST", "/late").await;
    assert_eq!(answer.status, 504);
    assert!(answer.body.contains("\"outcome\":\"unknown\""), "{}", answer.body);
    assert!(callee.marks.has("asked /charge") && !callee.marks.has("left /charge"));
    callee.marks.set("go");
    shop.marks.until("charged").await;
}

#[tokio::test]
async fn a_call_needs_no_lifecycle() {
    let callee = Callee::start().await;
    let request = http::Request::get("/briefly").body(Body::empty());
    let answer = app(&Shop::new(&callee.url(""))).oneshot(request.expect("a request")).await;
    assert_eq!(answer.expect("a router cannot fail").status(), 504);
    callee.marks.until("left /read").await;
}

#[tokio::test]
async fn the_last_moments_of_the_grace_end_a_durable_call() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let short = lifecycle().grace(1500 * MS).build().expect("it is sound");
    let token = short.grace_over();
    let call = tokio::spawn(async move {
        let read = cancelled(shop.get("/read").under(&token).send().await);
        let write = cancelled(shop.post("/late").under(&token).send().await);
        (read, write)
    });
    callee.marks.until("asked /read").await;
    // The drain waits for this worker.
    let worker = short.spawn("busy", async |_| std::future::pending::<()>().await);
    short.shutdown();
    let (read, late) = soon("the end of the calls", call).await.expect("nothing panics");
    assert_eq!(read, Some((Cause::ShuttingDown, Outcome::NotBegun)));
    assert_eq!(late, Some((Cause::ShuttingDown, Outcome::NotBegun)));
    callee.marks.until("left /read").await;
    assert!(!callee.marks.has("asked /late"));
    drop(worker);
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_gives_up_its_call() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let server = Server::start(Router::new()).await;
    let told = shop.clone();
    server.lifecycle.spawn("relay", async move |stop| {
        let sent = cancelled(told.post("/relay").under(&stop).send().await);
        told.marks.set(format!("{sent:?}"));
    });
    callee.marks.until("asked /relay").await;
    server.stop().await;
    assert_eq!(shop.marks.all(), ["Some((ShuttingDown, Unknown))"]);
    callee.marks.until("left /relay").await;
}

/// Goes on after its deadline and then calls.
#[cancellable(read, cooperative, deadline = "1ms")]
async fn goes_on(State(shop): State<Shop>, token: RequestToken) -> Answer<()> {
    token.cancelled().await;
    let answer = shop.post("/").under(&token).send().await;
    shop.marks.set(format!("{:?}", cancelled(answer)));
    Ok(())
}

/// Blocks past its deadline, so that it does not see the deadline before it calls.
#[cancellable(read, deadline = "1ms")]
async fn blocks(State(shop): State<Shop>, token: RequestToken) -> Answer<()> {
    thread::sleep(5 * MS);
    let answer = shop.post("/").under(&token).send().await;
    shop.marks.set("the handler answers");
    answer.map(drop)
}

#[tokio::test]
async fn an_expired_deadline_opens_no_connection() {
    let door = Door::open().await;
    let shop = Shop::new(&door.url());
    let app = Router::new().route("/goes-on", get(goes_on)).route("/blocks", get(blocks));
    let server = Server::start(app.with_state(shop.clone())).await;
    // A cooperative handler is not dropped, so its own answer is sent.
    assert_eq!(h1::call(server.at, "GET", "/goes-on").await.status, 200);
    assert!(shop.marks.has("Some((DeadlineExceeded, NotBegun))"), "{:?}", shop.marks.all());
    assert_eq!(h1::call(server.at, "GET", "/blocks").await.status, 504);
    assert!(!shop.marks.has("the handler answers"), "the deadline answers, as everywhere");
    door.nobody_came().await;
}

#[tokio::test]
async fn a_token_that_has_fired_opens_no_connection() {
    let door = Door::open().await;
    let shop = Shop::new(&door.url());
    for cause in [Cause::ClientDisconnected, Cause::ShuttingDown] {
        let (token, handle) = RequestToken::new_pair();
        handle.cancel(cause);
        let answer = shop.post("/").under(&token).send().await;
        assert_eq!(cancelled(answer), Some((cause, Outcome::NotBegun)));
    }
    door.nobody_came().await;
}

#[tokio::test]
async fn a_raw_token_ends_a_call() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let token = CancellationToken::new();
    let call = tokio::spawn(shop.post("/write").under(&token).send());
    callee.marks.until("asked /write").await;
    token.cancel();
    let answer = soon("the end of the call", call).await.expect("nothing panics");
    assert_eq!(cancelled(answer), Some((Cause::ClientDisconnected, Outcome::Unknown)));
    callee.marks.until("left /write").await;
    let door = Door::open().await;
    let late = Shop::new(&door.url()).post("/").under(&token).send().await;
    assert_eq!(cancelled(late), Some((Cause::ClientDisconnected, Outcome::NotBegun)));
    door.nobody_came().await;
}

#[tokio::test]
async fn the_outcome_of_a_sent_request_depends_on_its_method() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    for (request, path, outcome) in [
        (shop.get("/read"), "/read", Outcome::NotBegun),
        (shop.post("/write"), "/write", Outcome::Unknown),
    ] {
        let (token, handle) = RequestToken::new_pair();
        let call = tokio::spawn(request.under(&token).send());
        callee.marks.until(&format!("asked {path}")).await;
        handle.cancel(Cause::ClientDisconnected);
        let answer = soon("the end of the call", call).await.expect("nothing panics");
        assert_eq!(cancelled(answer), Some((Cause::ClientDisconnected, outcome)));
        callee.marks.until(&format!("left {path}")).await;
    }
}

#[tokio::test]
async fn the_token_covers_the_body_of_the_answer() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let (token, handle) = RequestToken::new_pair();
    let answer = shop.get("/stalls").under(&token).send().await.expect("a head comes");
    assert_eq!(answer.url().as_str(), callee.url("/stalls"));
    assert_eq!(answer.content_length(), Some(100));
    assert_eq!(answer.remote_addr(), Some(callee.at));
    let body = tokio::spawn(answer.bytes());
    handle.cancel(Cause::ClientDisconnected);
    let body = soon("the end of the body", body).await.expect("nothing panics");
    let error = body.expect_err("the token fired");
    let cancelled = cancelled_within(&error).expect("the cause is among the sources");
    assert_eq!(cancelled.cause(), Cause::ClientDisconnected);
    callee.marks.until("left /stalls").await;
}

#[tokio::test]
async fn a_whole_body_comes_through_as_it_is() {
    let callee = Callee::start().await;
    let answer = Shop::new(&callee.url("")).get("/now").under(&RequestToken::never()).send().await;
    let answer = answer.expect("it is answered");
    assert_eq!((answer.status().as_u16(), answer.content_length()), (200, Some(2)));
    assert_eq!(answer.text().await.expect("it ends"), "ok");
}

/// Has a later deadline than the timeout of its reqwest client.
#[cancellable(read, deadline = "1h")]
async fn has_time(State(shop): State<Shop>, token: RequestToken) -> Answer<()> {
    let answer = shop.get("/read").under(&token).send().await;
    let error = answer.expect_err("the callee does not answer");
    if let CallError::Failed(error) = &error {
        assert!(error.is_timeout());
        shop.marks.set("timed out");
    }
    Err(error)
}

#[tokio::test]
async fn the_timeout_of_reqwest_holds_beside_the_deadline_and_is_answered_502() {
    let log = Log::capture();
    let callee = Callee::start().await;
    let client = reqwest::Client::builder().timeout(1000 * MS).build().expect("it is sound");
    let shop = Shop { client, ..Shop::new(&callee.url("")) };
    let server =
        Server::start(Router::new().route("/", get(has_time)).with_state(shop.clone())).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!(answer.status, 502);
    assert!(!answer.body.contains("127.0.0.1"), "the answer shows an address: {}", answer.body);
    assert!(shop.marks.has("timed out"));
    callee.marks.until("left /read").await;
    let failed = log.with("a call to another service failed");
    assert!(matches!(&*failed, [line] if line.text.contains(&callee.url("/read"))), "{failed:?}");
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_fails() {
    let shop = Shop::new("http://");
    for request in [shop.get(""), shop.get("/").header("a b", "c"), shop.client.get("http://[::1")]
    {
        let answer = request.under(&RequestToken::never()).send().await;
        assert!(matches!(answer, Err(CallError::Failed(_))), "{answer:?}");
    }
}

/// Streams the response of the callee to its own client.
#[cancellable(read, deadline = "1s")]
async fn passes_on(State(shop): State<Shop>, token: RequestToken) -> Answer<Response<Body>> {
    let answer = shop.get("/stalls").under(&token).send().await?;
    tokio::spawn(async move {
        tokio::time::sleep_until(token.deadline().expect("it has one")).await;
        shop.marks.set("late");
    });
    Ok(Response::from(answer).map(Body::new))
}

#[tokio::test]
async fn a_body_that_is_passed_on_has_no_deadline_and_ends_with_its_client() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let server =
        Server::start(Router::new().route("/", get(passes_on)).with_state(shop.clone())).await;
    let mut call = h1::send(server.at, "GET", "/").await;
    call.until("begin").await;
    shop.marks.until("late").await;
    // Another request has completed since, so the deadline has already taken effect.
    assert_eq!(h1::call(server.at, "GET", "/none").await.status, 404);
    assert!(!callee.marks.has("left /stalls"));
    call.hang_up();
    callee.marks.until("left /stalls").await;
}
