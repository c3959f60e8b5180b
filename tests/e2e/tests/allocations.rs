//! The allocations of a policy over bare axum under `serve`, compared exactly.
//!
//! The figures are those of the page of costs. In process, both sides are called in the same way on
//! one thread after a warm-up, so the difference belongs to the policy.
//!
//! The tests have a binary of their own, because they count in a global allocator, and because no
//! other test may install a log subscriber, whose allocations would be counted.

use std::{convert::Infallible, future::poll_fn, net::SocketAddr, pin::pin, task::Poll};

use axum::{
    Router,
    body::Body,
    routing::{MethodRouter, post},
};
use followthrough::{DurableToken, Lifecycle, RequestToken, cancellable, durable_write};
use followthrough_tests::Server;
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

const WARM_UP: u64 = 20;
const CALLS: u64 = 200;

/// Returns `Pending` once, as a query does, so that the count includes what only a pending body
/// needs.
async fn work() -> &'static str {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready("ok");
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

async fn bare() -> &'static str {
    work().await
}

#[cancellable(read)]
async fn read() -> &'static str {
    work().await
}

#[cancellable(read)]
#[deadline = "10s"]
async fn read_with_deadline() -> &'static str {
    work().await
}

#[cancellable(read)]
async fn read_with_raw_token(token: CancellationToken) -> &'static str {
    let answer = work().await;
    assert!(!token.is_cancelled());
    answer
}

#[cancellable(read)]
async fn read_with_typed_token(token: RequestToken) -> &'static str {
    let answer = work().await;
    assert!(!token.is_cancelled());
    answer
}

#[durable_write]
async fn durable() -> &'static str {
    work().await
}

#[cancellable(read)]
async fn one_site() -> &'static str {
    #[durable_write]
    let answer = work().await;
    answer
}

#[cancellable(read)]
async fn two_sites() -> &'static str {
    #[durable_write]
    work().await;
    #[durable_write]
    let answer = work().await;
    answer
}

/// Compiles only with a durable token.
async fn proven(_: &DurableToken) -> &'static str {
    work().await
}

#[cancellable(read)]
async fn site_with_token(token: RequestToken) -> &'static str {
    assert!(!token.is_cancelled());
    #[durable_write]
    let answer = proven(&token).await;
    answer
}

fn routed(method: MethodRouter) -> Router {
    Router::new().route("/x", method)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Calls `app` that often and reads each response to its end, as a server does.
async fn call<S, B>(app: &mut S, calls: u64)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    for _ in 0..calls {
        let request = Request::post("/x").body(Body::empty()).expect("the request is sound");
        let Ok(service) = app.ready().await;
        let Ok(response) = service.call(request).await;
        assert_eq!(response.status(), 200);
        let mut body = pin!(response.into_body());
        while poll_fn(|cx| body.as_mut().poll_frame(cx)).await.is_some() {}
    }
}

/// Returns the allocations of [`CALLS`] calls after a warm-up.
fn in_process<S, B>(runtime: &Runtime, mut app: S) -> u64
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    runtime.block_on(call(&mut app, WARM_UP));
    let counted = allocation_counter::measure(|| runtime.block_on(call(&mut app, CALLS)));
    counted.count_total
}

/// Returns how much more one call allocates, and panics if calls differ.
fn each(whole: u64, bare: u64) -> u64 {
    let more = whole.checked_sub(bare).expect("bare axum allocates no more than a policy");
    assert_eq!(more % CALLS, 0, "{more} allocations more in {CALLS} calls: they differ");
    more / CALLS
}

/// Returns the allocations of a call of the linked handler over a call of bare axum.
fn over_bare(method: MethodRouter) -> u64 {
    let runtime = runtime();
    let plain = in_process(&runtime, routed(post(bare)));
    let lifecycle = Lifecycle::builder().build().expect("the defaults are sound");
    let linked = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let at = listener.local_addr().expect("it is bound");
        let stream = TcpStream::connect(at).await.expect("it listens");
        let linked = followthrough::__private::linked(&lifecycle, stream, routed(method));
        linked.expect("it is connected")
    });
    each(in_process(&runtime, linked), plain)
}

#[test]
fn linking_a_bare_handler_allocates_nothing() {
    assert_eq!(over_bare(post(bare)), 0);
}

#[test]
fn a_read_allocates_nothing() {
    assert_eq!(over_bare(post(read)), 0);
}

#[test]
fn a_read_with_a_deadline_allocates_nothing() {
    assert_eq!(over_bare(post(read_with_deadline)), 0);
}

#[test]
fn a_raw_token_allocates_once() {
    assert_eq!(over_bare(post(read_with_raw_token)), 1);
}

#[test]
fn a_typed_token_allocates_once() {
    assert_eq!(over_bare(post(read_with_typed_token)), 1);
}

#[test]
fn a_durable_write_allocates_once() {
    assert_eq!(over_bare(post(durable)), 1);
}

#[test]
fn a_durable_site_allocates_once() {
    assert_eq!(over_bare(post(one_site)), 1);
}

#[test]
fn a_second_durable_site_allocates_nothing_more() {
    assert_eq!(over_bare(post(two_sites)), 1);
}

#[test]
fn a_token_and_a_durable_site_allocate_once_each() {
    assert_eq!(over_bare(post(site_with_token)), 2);
}

#[test]
fn the_count_sees_what_a_handler_allocates() {
    let boxed = post(async || std::hint::black_box(Box::pin(work())).await);
    assert_eq!(over_bare(boxed), 1, "or every figure here would be worth nothing");
}

/// Sends requests on one connection without allocating.
async fn ask(stream: &mut TcpStream, times: u64) {
    let request = b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let mut answer = [0; 1024];
    for _ in 0..times {
        stream.write_all(request).await.expect("it reads");
        let mut filled = 0;
        while !answer[..filled].ends_with(b"\r\n\r\nok") {
            let read = stream.read(&mut answer[filled..]).await.expect("it answers");
            assert!(read > 0, "the connection is kept");
            filled += read;
        }
    }
}

/// Returns the server's median allocations for a request on a kept connection. The median ignores
/// the few requests whose bytes arrive in another way and meet a full buffer.
fn on_a_socket(runtime: &Runtime, at: SocketAddr) -> u64 {
    let mut stream = runtime.block_on(async {
        let mut stream = TcpStream::connect(at).await.expect("it listens");
        ask(&mut stream, WARM_UP).await;
        stream
    });
    let mut asked = || runtime.block_on(ask(&mut stream, 1));
    let mut each: Vec<_> =
        (0..CALLS).map(|_| allocation_counter::measure(&mut asked).count_total).collect();
    each.sort_unstable();
    each[each.len() / 2]
}

fn under_axum() -> u64 {
    let runtime = runtime();
    let (at, serving) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let at = listener.local_addr().expect("it is bound");
        (at, tokio::spawn(axum::serve(listener, routed(post(bare))).into_future()))
    });
    let counted = on_a_socket(&runtime, at);
    serving.abort();
    counted
}

fn under_serve(method: MethodRouter) -> u64 {
    let runtime = runtime();
    let server = runtime.block_on(Server::start(routed(method)));
    let counted = on_a_socket(&runtime, server.at);
    runtime.block_on(server.stop());
    counted
}

#[test]
fn the_figures_hold_on_a_kept_connection() {
    let plain = under_serve(post(bare));
    let figure = |method| under_serve(method) - plain;
    assert_eq!(figure(post(read)), 0, "a read");
    assert_eq!(figure(post(read_with_deadline)), 0, "a read with a deadline");
    assert_eq!(figure(post(read_with_raw_token)), 1, "a raw token");
    assert_eq!(figure(post(read_with_typed_token)), 1, "a typed token");
    assert_eq!(figure(post(durable)), 1, "a durable write");
    assert_eq!(figure(post(one_site)), 1, "a durable site");
}

#[test]
fn the_server_allocates_no_more_than_that_of_axum() {
    assert_eq!(under_serve(post(bare)), under_axum());
}
