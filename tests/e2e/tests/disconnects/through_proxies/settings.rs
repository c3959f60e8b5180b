//! Settings of the proxies: those that hide a disconnect, and those that the guide warns about.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{ConnectInfo, connect_info::Connected},
    routing::get,
};
use followthrough::{Cause, HandshakeIo, Listener};
use followthrough_tests::{
    Leaving, h1, lifecycle,
    proxy::{
        Make::{self, Haproxy, Nginx},
        Proxy,
    },
    soon,
};
use tokio::{io::AsyncReadExt, net::TcpListener, time::timeout};

use super::service::{Behind, request};

/// Five times the limit that applies where the proxy passes the disconnect on.
const UNSEEN: Duration = Duration::from_millis(500);
/// The text in front of which additions to nginx's `location` go.
pub(crate) const LOCATION: &str = "proxy_pass http";
const ABORT_ON_CLOSE: &str = "    option abortonclose\n";

/// Asserts that the service goes on with `request` after its client has left.
async fn stays_unseen(behind: &mut Behind, request: &str, how: Leaving) {
    let (call, mut begun) = behind.send(request).await;
    let _left = call.leave(how).await;
    let head = request.lines().next().unwrap_or_default();
    assert!(begun.runs_on(UNSEEN).await, "{how:?} of {head} is seen");
}

/// Asserts that the service goes on with each of `requests` under these settings after its client
/// has left.
async fn breaks_it(make: Make, edits: &[(&str, &str)], requests: &[String]) {
    let Some(mut behind) = Behind::start(make, edits).await else { return };
    for request in requests {
        for how in [Leaving::Close, Leaving::Reset] {
            stays_unseen(&mut behind, request, how).await;
        }
    }
}

fn reads() -> [String; 2] {
    [request("GET", "/waits", 0), request("GET", "/events", 0)]
}

#[tokio::test]
async fn nginx_passes_nothing_on_with_proxy_ignore_client_abort() {
    breaks_it(Nginx, &[(LOCATION, "proxy_ignore_client_abort on; proxy_pass http")], &reads())
        .await;
}

#[tokio::test]
async fn nginx_passes_nothing_on_where_it_caches() {
    let path =
        ("upstream service", "proxy_cache_path @dir@/cache keys_zone=a:1m; upstream service");
    let cache = "proxy_cache a; proxy_cache_valid 1m; proxy_pass http";
    breaks_it(Nginx, &[path, (LOCATION, cache)], &reads()).await;
}

#[tokio::test]
async fn haproxy_passes_nothing_on_without_abortonclose() {
    breaks_it(Haproxy, &[(ABORT_ON_CLOSE, "")], &reads()).await;
}

#[tokio::test]
async fn haproxy_passes_nothing_on_with_abortonclose_in_the_backend_alone() {
    let moved = "backend service\n    option abortonclose\n";
    breaks_it(Haproxy, &[(ABORT_ON_CLOSE, ""), ("backend service\n", moved)], &reads()).await;
}

/// nginx closes its connection to the service without a reset. The end of the stream is behind the
/// body, and does not arrive at all when the body fills the receive window.
#[tokio::test]
async fn nginx_passes_nothing_on_behind_a_large_unread_body() {
    breaks_it(Nginx, &[], &[request("POST", "/keeps", 900_000)]).await;
}

/// A service that allows half-closed clients takes the close of nginx for a half-close.
#[tokio::test]
async fn nginx_passes_nothing_on_to_a_service_that_allows_half_closed_connections() {
    let builder = lifecycle().half_close(true);
    let Some(mut behind) = Behind::with(builder, Nginx, &[]).await else { return };
    for request in reads() {
        stays_unseen(&mut behind, &request, Leaving::Close).await;
    }
}

/// `HAProxy` resets its connection to the service, and a client that still reads does not do that.
#[tokio::test]
async fn haproxy_passes_on_to_a_service_that_allows_half_closed_connections() {
    let builder = lifecycle().half_close(true);
    let Some(mut behind) = Behind::with(builder, Haproxy, &[]).await else { return };
    for request in reads() {
        let (call, begun) = behind.send(&request).await;
        let _left = call.leave(Leaving::Close).await;
        soon("the token fires", begun.token.cancelled()).await;
    }
}

#[tokio::test]
async fn haproxy_passes_on_the_reset_of_a_stream_alone_without_abortonclose() {
    let edits = &[(ABORT_ON_CLOSE, "")];
    let Some(mut behind) = Behind::start(Haproxy, edits).await else { return };
    let (_left, begun) = behind.leave_over_http_2(false).await;
    soon("the token fires", begun.token.cancelled()).await;
    let (_left, mut begun) = behind.leave_over_http_2(true).await;
    assert!(begun.runs_on(UNSEEN).await);
}

/// nginx has already taken the response, so the service does not see the client leave.
#[tokio::test]
async fn nginx_takes_a_large_answer_before_its_client_does() {
    let Some(mut behind) = Behind::start(Nginx, &[]).await else { return };
    let (call, begun) = behind.send(&request("GET", "/large", 0)).await;
    let token = begun.token.clone();
    begun.body_is_dropped().await;
    call.hang_up();
    behind.is_up().await;
    assert!(!token.is_cancelled(), "nginx has the whole answer");
}

/// Returns how long the first event takes to arrive.
async fn first_event(make: Make, edits: &[(&str, &str)], path: &str) -> Option<Duration> {
    let mut behind = Behind::start(make, edits).await?;
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let sent = Instant::now();
        let mut call = behind.open(&request("GET", path, 0)).await;
        let _begun = behind.begun().await;
        if timeout(UNSEEN, call.until("first")).await.is_ok() {
            best = best.min(sent.elapsed());
        }
    }
    println!("{make:?} {path} {edits:?}: the first event comes after {best:.1?}");
    Some(best)
}

#[tokio::test]
async fn nginx_holds_events_back_over_http_1_0_unless_told_not_to_buffer() {
    let old = ("proxy_http_version 1.1", "proxy_http_version 1.0");
    let unbuffered = (LOCATION, "proxy_buffering off; proxy_pass http");
    let Some(held) = first_event(Nginx, &[old], "/events").await else { return };
    assert_eq!(held, Duration::MAX, "it is buffered");
    for (edits, path) in
        [(&[][..], "/events"), (&[old], "/unbuffered"), (&[old, unbuffered], "/events")]
    {
        let Some(came) = first_event(Nginx, edits, path).await else { return };
        assert!(came < UNSEEN, "{path} {edits:?}: {came:?}");
    }
}

#[tokio::test]
async fn haproxy_sends_events_at_once_with_http_no_delay() {
    let no_delay = (ABORT_ON_CLOSE, "    option abortonclose\n    option http-no-delay\n");
    let Some(came) = first_event(Haproxy, &[no_delay], "/events").await else { return };
    // Without the option, HAProxy holds a partial segment back for 200 ms.
    assert!(came < Duration::from_millis(100), "{came:?}");
}

/// Returns an edit that limits how long the proxy waits for a response.
fn impatient(make: Make) -> (&'static str, &'static str) {
    match make {
        Nginx => ("proxy_read_timeout 60s", "proxy_read_timeout 300ms"),
        Haproxy => ("timeout server 60s", "timeout server 300ms"),
    }
}

#[tokio::test]
async fn the_time_out_of_a_proxy_looks_like_a_client_that_left() {
    for make in [Nginx, Haproxy] {
        let Some(mut behind) = Behind::start(make, &[impatient(make)]).await else { continue };
        let (mut call, begun) = behind.send(&request("GET", "/waits", 0)).await;
        soon("the token fires", begun.token.cancelled()).await;
        assert_eq!(begun.token.cause(), Some(Cause::ClientDisconnected));
        begun.body_is_dropped().await;
        let answer = call.answer().await;
        assert_eq!(answer.status, 504);
        assert_eq!(answer.header("content-type"), Some("text/html"), "it is the proxy's own");
    }
}

/// Asserts how often the service begins a write that a client sends once and whose response is
/// late.
async fn is_begun(make: Make, edits: &[(&str, &str)], method: &str, times: usize) -> Option<()> {
    let all = [&[impatient(make)], edits].concat();
    let behind = Behind::start(make, &all).await?;
    // The proxy answers after its last attempt.
    let answer = behind.open(&request(method, "/writes", 5)).await.answer().await;
    assert_eq!(answer.status, 504, "{make:?} {method}");
    let begun = || behind.marks.all().iter().filter(|mark| *mark == "begun").count();
    soon("the last try", async {
        while begun() < times {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(begun(), times, "{make:?} {method} {edits:?}");
    Some(())
}

#[tokio::test]
async fn nginx_repeats_a_late_put_at_the_next_server_but_no_post() {
    let two = ("server @service@;", "server @service@; server @service@;");
    let off = (LOCATION, "proxy_next_upstream off; proxy_pass http");
    let posts = (LOCATION, "proxy_next_upstream timeout non_idempotent; proxy_pass http");
    for (method, edits, times) in [
        ("POST", &[two][..], 1),
        ("PATCH", &[two], 1),
        ("GET", &[two], 2),
        ("PUT", &[two], 2),
        ("DELETE", &[two], 2),
        ("PUT", &[], 1),
        ("PUT", &[two, off], 1),
        ("POST", &[two, posts], 2),
    ] {
        if is_begun(Nginx, edits, method, times).await.is_none() {
            return;
        }
    }
}

#[tokio::test]
async fn haproxy_repeats_no_late_write_unless_told_to() {
    let two =
        ("    server first @service@", "    server first @service@\n    server second @service@");
    let retry = ("mode http\n", "mode http\n    retry-on conn-failure response-timeout\n");
    let not_posts = ("    bind", "    http-request disable-l7-retry unless METH_GET\n    bind");
    for (method, edits, times) in [
        ("POST", &[two][..], 1),
        ("PUT", &[two], 1),
        ("GET", &[two], 1),
        ("GET", &[retry], 4),
        ("PUT", &[retry], 4),
        ("POST", &[retry], 4),
        ("POST", &[retry, not_posts], 1),
        ("PUT", &[retry, not_posts], 1),
    ] {
        if is_begun(Haproxy, edits, method, times).await.is_none() {
            return;
        }
    }
}

#[tokio::test]
async fn nginx_keeps_its_connections_to_the_service() {
    let from = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
    let app = Router::new().route("/", get(from));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    let without = ("proxy_set_header Connection \"\";", "");
    for (edits, kept) in [(&[][..], true), (&[without], false)] {
        let Some(proxy) = Proxy::start(Nginx, at, edits).await else { return };
        let first = h1::call(proxy.at, "GET", "/").await.body;
        let second = h1::call(proxy.at, "GET", "/").await.body;
        assert_eq!(first == second, kept, "{edits:?}: from {first} and {second}");
    }
    server.abort();
}

/// Reads the whole line of the PROXY protocol.
async fn proxy_line(mut io: HandshakeIo, _: String) -> std::io::Result<String> {
    let mut line = String::new();
    while !line.ends_with("\r\n") {
        line.push(char::from(io.read_u8().await?));
    }
    Ok(line)
}

/// The address of the peer as text.
#[derive(Clone, Debug)]
struct Named(String);

impl Connected<String> for Named {
    fn connect_info(name: String) -> Self {
        Self(name)
    }
}

#[tokio::test]
async fn haproxy_says_who_its_client_is_in_the_proxy_protocol() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let listener =
        listener.map(|accepted| accepted.map_peer(|proxy| proxy.to_string()).handshake(proxy_line));
    let from = async |ConnectInfo(Named(line)): ConnectInfo<Named>| line;
    let app = Router::new().route("/", get(from)).into_make_service_with_connect_info::<Named>();
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle().build().unwrap());
    drop(tokio::spawn(serve.into_future()));
    let says = ("server first @service@", "server first @service@ send-proxy");
    let Some(proxy) = Proxy::start(Haproxy, at, &[says]).await else { return };
    let mut call = h1::send(proxy.at, "GET", "/").await;
    let line = call.answer().await.body;
    let port = call.from().port().to_string();
    assert!(line.starts_with("PROXY TCP4 127.0.0.1 ") && line.contains(&port), "{line}");
}

#[test]
fn the_guide_shows_the_configurations_that_are_tested() {
    let guide = include_str!("../../../../../runtime/guide/proxies.md");
    for (make, from) in [(Nginx, "upstream service {"), (Haproxy, "defaults")] {
        let (_, shown) = make.template().split_once(from).expect("it has that section");
        for line in shown.lines().map(str::trim).filter(|line| !line.contains('@')) {
            assert!(guide.contains(line), "the guide does not show `{line}` of {make:?}");
        }
    }
}
