//! Custom listeners, handshakes before the first byte of HTTP, and several listeners at once.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{
        ConnectInfo, Request, State,
        connect_info::{Connected, IntoMakeServiceWithConnectInfo},
    },
    routing::{get, post},
    serve::ListenerExt,
};
use followthrough::{
    Accepted, App, HandshakeIo, Lifecycle, Listener, Serve, ShutdownReport, cancellable,
};
use followthrough_tests::{Log, Marks, h1, lifecycle, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinHandle,
};
use tracing::Level;

type Running = (Lifecycle, JoinHandle<io::Result<ShutdownReport>>);

fn run<L, A, K>(listener: L, app: A, set: impl FnOnce(Serve) -> Serve) -> Running
where
    L: Listener,
    A: App<L::Peer, K>,
    K: 'static,
{
    let lifecycle = lifecycle().build().unwrap();
    let serve = set(followthrough::serve(listener, app).lifecycle(lifecycle.clone()));
    (lifecycle, tokio::spawn(serve.into_future()))
}

async fn stop((lifecycle, running): Running) -> ShutdownReport {
    lifecycle.shutdown();
    soon("the end", running).await.unwrap().unwrap()
}

async fn tcp() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// The client that the load balancer names.
#[derive(Clone, Debug)]
struct Client(String);

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

impl Connected<Self> for Client {
    fn connect_info(client: Self) -> Self {
        client
    }
}

/// A listener whose connections begin with a line that names the client.
struct Proxied(TcpListener);

impl Listener for Proxied {
    type Peer = Client;

    async fn accept(&mut self) -> io::Result<Accepted<Client>> {
        let (stream, proxy) = self.0.accept().await?;
        Ok(Accepted::tcp(stream, Client(proxy.to_string())).handshake(client_of))
    }

    fn name(&self) -> io::Result<String> {
        Ok(format!("proxied {}", self.0.local_addr()?))
    }
}

async fn client_of(mut io: HandshakeIo, _: Client) -> io::Result<Client> {
    let mut line = String::new();
    while !line.ends_with('\n') {
        line.push(char::from(io.read_u8().await?));
    }
    let client = line.strip_prefix("from ").ok_or(ErrorKind::InvalidData)?;
    Ok(Client(client.trim().to_owned()))
}

async fn whoami(ConnectInfo(client): ConnectInfo<Client>) -> String {
    client.0
}

#[cancellable(read)]
async fn wait(State(marks): State<Marks>, unread: Request) {
    let _dropped = (marks.on_drop("dropped"), unread);
    marks.set("waiting");
    std::future::pending::<()>().await;
}

fn proxied(marks: Marks) -> IntoMakeServiceWithConnectInfo<Router, Client> {
    Router::new()
        .route("/", get(whoami))
        .route("/wait", post(wait))
        .with_state(marks)
        .into_make_service_with_connect_info::<Client>()
}

const ASK: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_handshake_sets_the_address_of_the_peer() {
    let (listener, at) = tcp().await;
    let running = run(Proxied(listener), proxied(Marks::default()), |serve| serve);
    let mut call = h1::raw(at, format!("from moon\r\n{ASK}")).await;
    assert_eq!(call.answer().await.body, "moon");
    call.more(ASK).await;
    assert_eq!(call.answer().await.body, "moon", "once for a connection");
    // The line arrives in pieces, and its last piece together with the request.
    let mut call = h1::raw(at, "fr").await;
    call.more("om su").await;
    call.more(&format!("n\r\n{ASK}")).await;
    assert_eq!(call.answer().await.body, "sun");
    stop(running).await;
}

#[tokio::test]
async fn behind_a_handshake_a_client_that_leaves_is_noticed() {
    let (listener, at) = tcp().await;
    let marks = Marks::default();
    let running = run(Proxied(listener), proxied(marks.clone()), |serve| serve);
    // The handler does not read the body, so only the socket shows that the client has left.
    let head = "POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
    let call = h1::raw(at, format!("from moon\r\n{head}")).await;
    marks.until("waiting").await;
    call.hang_up();
    marks.until("dropped").await;
    stop(running).await;
}

#[tokio::test]
async fn the_report_calls_a_connection_by_what_its_handshake_said() {
    let (listener, at) = tcp().await;
    let app = Router::new().route("/", get(std::future::pending::<()>));
    let running = run(Proxied(listener), app, |serve| serve);
    let _call = h1::raw(at, format!("from moon\r\n{ASK}")).await;
    soon("the request", async {
        while running.0.in_flight().requests == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let report = stop(running).await;
    let [cut] = &report.connections_cut[..] else { panic!("one was open: {report}") };
    assert_eq!(cut.peer, "client moon", "{report}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_delays_no_other_client_and_has_the_time_of_a_head() {
    let (listener, at) = tcp().await;
    let limit = Duration::from_millis(200);
    let set = |serve: Serve| serve.header_read_timeout(limit);
    let running = run(Proxied(listener), proxied(Marks::default()), set);
    let mut silent = h1::raw(at, "").await;
    let mut half = h1::raw(at, "from").await;
    let mut call = h1::raw(at, format!("from moon\r\n{ASK}")).await;
    assert_eq!(call.answer().await.body, "moon");
    silent.ends().await;
    half.ends().await;
    // A handshake that does not end does not hold a shutdown.
    let _silent = h1::raw(at, "").await;
    let report = stop(running).await;
    assert!(report.elapsed < Duration::from_secs(2), "{report}");
}

#[tokio::test]
async fn a_handshake_that_fails_closes_its_connection_and_is_logged() {
    let log = Log::capture();
    let (listener, at) = tcp().await;
    let running = run(Proxied(listener), proxied(Marks::default()), |serve| serve);
    let mut wrong = h1::raw(at, ASK).await;
    assert_eq!(wrong.rest().await, "");
    let said = log.with("the handshake failed, closing the connection");
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].level, Level::DEBUG);
    stop(running).await;
}

/// A common type for the peers of both listeners.
async fn over_unix(path: &std::path::Path) -> String {
    let mut client = UnixStream::connect(path).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon("the answer", client.read_to_string(&mut answer)).await.unwrap();
    answer.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn one_service_has_a_port_and_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.sock");
    let (port, at) = tcp().await;
    let name = format!("{at}, {}", path.display());
    let both = (
        port.map(|accepted| accepted.map_peer(|_| Client("tcp".into()))),
        UnixListener::bind(&path).unwrap().map(|accepted| {
            accepted.map_peer(|peer| Client(format!("uid {}", peer.uid().unwrap_or_default())))
        }),
    );
    let running = run(both, proxied(Marks::default()), |serve| serve);
    for _ in 0..3 {
        assert_eq!(h1::call(at, "GET", "/").await.body, "tcp");
        let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap());
        assert_eq!(over_unix(&path).await, format!("uid {uid}"));
    }
    let second = followthrough::serve(tcp().await.0, Router::new()).lifecycle(running.0.clone());
    let refused = second.await.unwrap_err().to_string();
    assert!(refused.contains(&format!("serves at {name} already")), "{refused}");
    stop(running).await;
}

#[tokio::test]
async fn any_number_of_listeners_is_served() {
    let (mut listeners, mut ports) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (listener, at) = tcp().await;
        listeners.push(listener);
        ports.push(at);
    }
    let running = run(listeners, Router::new().route("/", get(async || "here")), |serve| serve);
    for at in ports.iter().chain(&ports) {
        assert_eq!(h1::call(*at, "GET", "/").await.body, "here");
    }
    stop(running).await;
    let none = followthrough::serve(Vec::<TcpListener>::new(), Router::new()).await;
    let refused = none.unwrap_err().to_string();
    assert!(refused.contains("there is no listener to accept on"), "{refused}");
}

/// A listener whose `accept` never returns a connection.
struct Broken;

impl Listener for Broken {
    type Peer = SocketAddr;

    async fn accept(&mut self) -> io::Result<Accepted<SocketAddr>> {
        Err(io::Error::other("out of order"))
    }

    fn name(&self) -> io::Result<String> {
        Ok("the broken one".to_owned())
    }
}

#[tokio::test]
async fn a_listener_that_fails_is_named_and_leaves_the_others_to_work() {
    let log = Log::capture();
    let (listener, at) = tcp().await;
    let running =
        run((Broken, listener), Router::new().route("/", get(async || "here")), |serve| serve);
    for _ in 0..3 {
        assert_eq!(h1::call(at, "GET", "/").await.body, "here");
    }
    let said = log.with("cannot accept a connection; trying again");
    assert!(said.iter().all(|line| line.level == Level::ERROR), "{said:?}");
    let text = format!("{said:?}");
    assert!(text.contains("the broken one: out of order"), "{text}");
    stop(running).await;
}

#[tokio::test]
async fn tap_io_of_axum_sees_each_stream() {
    let (listener, at) = tcp().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let counts = seen.clone();
    let listener = listener.tap_io(move |stream: &mut TcpStream| {
        assert!(stream.peer_addr().is_ok());
        counts.fetch_add(1, Relaxed);
    });
    let running = run(listener, Router::new().route("/", get(async || "here")), |serve| serve);
    assert_eq!(h1::call(at, "GET", "/").await.body, "here");
    assert_eq!(h1::call(at, "GET", "/").await.body, "here");
    assert_eq!(seen.load(Relaxed), 2);
    stop(running).await;
}

/// A service that stops accepting serves the connections that the kernel has accepted and the
/// service has not.
async fn is_served_at_the_end<L: Listener<Peer = SocketAddr>>(listener: L, at: SocketAddr) {
    let app = Router::new().route("/", get(async || "here"));
    let (lifecycle, running) = run(listener, app, |serve| serve);
    assert_eq!(h1::call(at, "GET", "/").await.body, "here");
    let waits = std::net::TcpStream::connect(at).unwrap();
    lifecycle.shutdown();
    waits.set_nonblocking(true).unwrap();
    let mut waits = TcpStream::from_std(waits).unwrap();
    waits.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon("the answer", waits.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with("here"), "{answer:?}");
    stop((lifecycle, running)).await;
}

#[tokio::test]
async fn connections_in_the_backlog_are_served_whatever_wraps_the_listener() {
    let (listener, at) = tcp().await;
    is_served_at_the_end(listener, at).await;
    let (listener, at) = tcp().await;
    is_served_at_the_end(listener.tap_io(|_: &mut TcpStream| {}), at).await;
    let (listener, at) = tcp().await;
    is_served_at_the_end((Broken, listener), at).await;
}
