//! TCP keepalive for silent peers.

#![cfg(target_os = "linux")]

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, routing::get};
use followthrough::{Listener, RequestToken, Serve, cancellable};
use followthrough_tests::{Marks, h1, lifecycle, soon};
use socket2::{SockRef, Socket};
use tokio::net::TcpListener;

/// Serves, and returns a second handle of each accepted socket.
async fn served(
    at: SocketAddr,
    app: Router,
    set: impl FnOnce(Serve) -> Serve,
) -> (SocketAddr, Receiver<Socket>) {
    let (sender, sockets) = channel();
    let listener = TcpListener::bind(at).await.unwrap();
    let at = listener.local_addr().unwrap();
    let listener = listener.map(move |accepted| {
        let stream = accepted.tcp_stream().expect("it is one of TCP");
        sender.send(SockRef::from(stream).try_clone().unwrap()).unwrap();
        accepted
    });
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle().build().unwrap());
    drop(tokio::spawn(set(serve).into_future()));
    (at, sockets)
}

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Returns the idle time, the interval and the number of probes that the kernel has for a
/// connection.
async fn keepalive(set: impl FnOnce(Serve) -> Serve) -> Option<(Duration, Duration, u32)> {
    let app = Router::new().route("/", get(async || "here"));
    let (at, sockets) = served(LOOPBACK, app, set).await;
    // The options are set before the response comes.
    assert_eq!(h1::call(at, "GET", "/").await.body, "here");
    let socket = sockets.recv().unwrap();
    socket.keepalive().unwrap().then(|| {
        let (time, interval) = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval());
        (time.unwrap(), interval.unwrap(), socket.tcp_keepalive_retries().unwrap())
    })
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test]
async fn keepalive_probes_begin_after_the_idle_time() {
    assert_eq!(keepalive(|serve| serve).await, Some((secs(60), secs(20), 3)), "the default");
    let set = |serve: Serve| serve.tcp_keepalive(Some(secs(9)));
    assert_eq!(keepalive(set).await, Some((secs(9), secs(3), 3)));
    let least = |serve: Serve| serve.tcp_keepalive(Some(secs(1)));
    assert_eq!(keepalive(least).await, Some((secs(1), secs(1), 3)));
    assert_eq!(keepalive(|serve| serve.tcp_keepalive(None)).await, None);
}

#[tokio::test]
async fn a_keepalive_time_that_the_kernel_cannot_keep_is_refused() {
    for idle in [Duration::ZERO, Duration::from_millis(999), secs(32_768), Duration::MAX] {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let serve = followthrough::serve(listener, Router::new()).tcp_keepalive(Some(idle));
        let refused = serve.await.unwrap_err().to_string();
        assert!(refused.contains("`tcp_keepalive` must be between 1 s and 32767 s"), "{refused}");
    }
}

/// A network namespace for a client, which can vanish.
struct Net {
    name: String,
    /// The interface of this side.
    host: String,
}

impl Net {
    /// Creates the namespace, which takes root. Returns `None`, and prints the reason, if that
    /// fails.
    fn make() -> Option<Self> {
        let id = std::process::id() % 250 + 1;
        let (name, link) = (format!("followthrough-{id}"), format!("ft{id}"));
        let net = Self { name, host: format!("10.213.{id}.1") };
        let (name, host) = (&net.name, &net.host);
        let made = [
            format!("netns add {name}"),
            format!("link add {link} type veth peer name inner netns {name}"),
            format!("addr add {host}/30 dev {link}"),
            format!("link set {link} up"),
            format!("-n {name} addr add 10.213.{id}.2/30 dev inner"),
            format!("-n {name} link set inner up"),
        ]
        .iter()
        .try_for_each(|command| ip(command));
        if let Err(reason) = made {
            // The test runner hides the output of `println!` when a test passes.
            let _ = writeln!(io::stderr(), "skipped: no network of its own: {reason}");
            return None;
        }
        Some(net)
    }

    /// Cuts the link, so that no packet of the client arrives any more, not even a reset.
    fn vanishes(&self) {
        ip(&format!("-n {} route add blackhole {}/32", self.name, self.host)).unwrap();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // The link is deleted with the namespace.
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(command: &str) -> Result<(), String> {
    let output = Command::new("ip").args(command.split(' ')).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run `ip`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`ip {command}`: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

#[cancellable(read)]
async fn waits(State(marks): State<Marks>, token: RequestToken) {
    let _dropped = marks.on_drop("dropped");
    let told = marks.clone();
    tokio::spawn(async move { told.set(token.cancelled().await.as_str()) });
    marks.set("waiting");
    std::future::pending::<()>().await;
}

const CONNECT_TO: &str = "FOLLOWTHROUGH_TESTS_CONNECT_TO";

/// The client of the test below, which starts this program again.
#[tokio::test]
async fn a_client_in_a_network_of_its_own() {
    let Ok(at) = std::env::var(CONNECT_TO) else { return };
    let _call = h1::send(at.parse().unwrap(), "GET", "/").await;
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_peer_that_vanishes_without_a_packet_is_noticed() {
    let Some(net) = Net::make() else { return };
    let marks = Marks::default();
    let app = Router::new().route("/", get(waits)).with_state(marks.clone());
    let at = format!("{}:0", net.host).parse().unwrap();
    let (at, _sockets) = served(at, app, |serve| serve.tcp_keepalive(Some(secs(1)))).await;
    let _client = tokio::process::Command::new("ip")
        .args(["netns", "exec", &net.name])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "tcp_keepalive::a_client_in_a_network_of_its_own"])
        .env(CONNECT_TO, at.to_string())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    marks.until("waiting").await;
    net.vanishes();
    let since = Instant::now();
    soon("the end of the read", marks.until("dropped")).await;
    // The idle time is a second, and three probes follow, a second apart.
    assert!(since.elapsed() >= secs(3), "{:?}", since.elapsed());
    marks.until("client_disconnected").await;
}
