//! The deadlines that callees are told.

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use followthrough::{
    CallerDeadlines, RequestToken, cancellable,
    outbound::{DeadlineHeaders, RequestBuilderExt},
};
use followthrough_tests::{Server, h1};
use http::HeaderName;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Answer, Shop, callee::Callee, grpc};

const OWN: HeaderName = HeaderName::from_static("x-timeout-ms");

fn nanos(token: &RequestToken) -> u128 {
    token.remaining().expect("every hop has a deadline").as_nanos()
}

/// Returns the time that remains at this hop and at each later hop.
#[cancellable(read, deadline = "1h")]
async fn hop(
    State((shop, headers)): State<(Shop, DeadlineHeaders)>,
    Path(more): Path<u32>,
    token: RequestToken,
) -> Answer<String> {
    let here = nanos(&token);
    if more == 0 {
        return Ok(here.to_string());
    }
    let request = shop.get(&format!("/{}", more - 1));
    let answer = request.under(&token).forward(&headers).send().await?;
    let there = answer.text().await.expect("a callee's answer ends");
    Ok(format!("{here} {there}"))
}

#[tokio::test]
async fn what_remains_shrinks_from_hop_to_hop() {
    for headers in [grpc(), DeadlineHeaders::new().envoy(), DeadlineHeaders::new().header(OWN)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let at = listener.local_addr().expect("it is bound");
        let callers = CallerDeadlines::new().grpc_timeout().envoy().header(OWN);
        let state = (Shop::new(&format!("http://{at}")), headers.clone());
        let app = Router::new().route("/{more}", get(hop)).with_state(state);
        let lifecycle = followthrough_tests::lifecycle().caller_deadlines(callers);
        let _server = Server::on(listener, lifecycle, app);

        let head = "GET /3 HTTP/1.1\r\nhost: x\r\ngrpc-timeout: 30M\r\nconnection: close\r\n\r\n";
        let answer = h1::raw(at, head).await.answer().await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.body);
        let mut left = Duration::from_mins(30).as_nanos();
        assert_eq!(answer.body.split(' ').count(), 4, "{headers:?}: {}", answer.body);
        for hop in answer.body.split(' ') {
            let hop: u128 = hop.parse().expect("a number");
            assert!(0 < hop && hop < left, "{headers:?}: {}", answer.body);
            left = hop;
        }
    }
}

/// The call in the read carries the handler's deadline, and the durable call carries none.
#[cancellable(read, deadline = "1h")]
async fn tells(State(shop): State<Shop>, cancel: CancellationToken) -> Answer<()> {
    shop.get("/now?cancellable").under(&cancel).forward(&grpc()).send().await?;
    #[durable_write]
    shop.get("/now?durable").under(&cancel).forward(&grpc()).send().await?;
    Ok(())
}

#[tokio::test]
async fn a_plain_token_has_the_deadline_of_its_handler() {
    let callee = Callee::start().await;
    let app = Router::new().route("/", get(tells)).with_state(Shop::new(&callee.url("")));
    let server = Server::start(app).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 200);
    let told = callee.told("/now?cancellable").expect("a deadline");
    let (number, unit) = told.split_at(told.len() - 1);
    let number: u64 = number.parse().expect("a number");
    assert!(unit == "m" && 0 < number && number <= 3_600_000, "{told}");
    assert!(callee.marks.has("asked /now?durable"));
    assert_eq!(callee.told("/now?durable"), None);
}

#[cancellable(read, deadline = "1h")]
async fn tells_less(State(shop): State<Shop>, token: RequestToken) -> Answer<()> {
    let call = shop.get("/now?less").header("grpc-timeout", "7S");
    call.under(&token).forward(&grpc()).send().await?;
    let call = shop.get("/now?more").header("grpc-timeout", "7H");
    call.under(&token).forward(&grpc()).send().await?;
    shop.get("/now?unasked").under(&token).send().await?;
    Ok(())
}

#[tokio::test]
async fn a_shorter_header_stands_and_no_header_is_written_without_forward() {
    let callee = Callee::start().await;
    let app = Router::new().route("/", get(tells_less)).with_state(Shop::new(&callee.url("")));
    let server = Server::start(app).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 200);
    assert_eq!(callee.told("/now?less").as_deref(), Some("7s"));
    assert!(callee.told("/now?more").expect("a deadline").ends_with('m'));
    assert!(callee.marks.has("asked /now?unasked"));
    assert_eq!(callee.told("/now?unasked"), None);
}

#[tokio::test]
async fn without_a_deadline_no_header_is_sent() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let token = RequestToken::never();
    let answer = shop.get("/now").under(&token).forward(&grpc()).send().await;
    assert_eq!(answer.expect("it is answered").status(), 200);
    assert_eq!(callee.told("/now"), None);
}

/// Spawns a task that calls after the request has ended.
#[cancellable(read, deadline = "1h")]
async fn leaves_it(State(shop): State<Shop>, token: RequestToken) {
    tokio::spawn(async move {
        shop.marks.until("answered").await;
        let answer = shop.get("/now").under(&token).forward(&grpc()).send().await;
        shop.marks.set(format!("{:?}", answer.map(|answer| answer.status().as_u16()).ok()));
    });
}

#[tokio::test]
async fn a_call_after_its_request_has_no_deadline() {
    let callee = Callee::start().await;
    let shop = Shop::new(&callee.url(""));
    let server =
        Server::start(Router::new().route("/", get(leaves_it)).with_state(shop.clone())).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 200);
    shop.marks.set("answered");
    shop.marks.until("Some(200)").await;
    assert_eq!(callee.told("/now"), None);
}
