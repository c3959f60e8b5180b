//! Transports, services, and the address of the peer.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State, connect_info::Connected},
    routing::{get, post},
};
use followthrough::{
    App, Lifecycle, Listener, RequestToken, ShutdownReport, UnixPeer, cancellable,
};
use followthrough_tests::{Marks, h1, lifecycle, soon};
use http::{Response, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    },
};

type Running = JoinHandle<std::io::Result<ShutdownReport>>;

fn run<L, A, K>(listener: L, app: A) -> (Lifecycle, Running)
where
    L: Listener,
    A: App<L::Peer, K>,
    K: 'static,
{
    let lifecycle = lifecycle().build().unwrap();
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    (lifecycle, tokio::spawn(serve.into_future()))
}

async fn stop((lifecycle, running): (Lifecycle, Running)) {
    lifecycle.shutdown();
    let report = soon("the end", running).await.unwrap().unwrap();
    assert!(report.connections_cut.is_empty(), "{report}");
}

async fn tcp() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    peer.ip().to_string()
}

/// A custom type of connection info.
#[derive(Clone)]
struct Caller(u16);

impl Connected<SocketAddr> for Caller {
    fn connect_info(peer: SocketAddr) -> Self {
        Self(peer.port())
    }
}

async fn caller(ConnectInfo(Caller(port)): ConnectInfo<Caller>) -> String {
    port.to_string()
}

#[tokio::test]
async fn a_handler_knows_its_peer_over_tcp() {
    let (listener, at) = tcp().await;
    let app: Router = Router::new().route("/", get(peer));
    let running = run(listener, app.into_make_service_with_connect_info::<SocketAddr>());
    assert_eq!(h1::call(at, "GET", "/").await.body, "127.0.0.1");
    stop(running).await;

    let (listener, at) = tcp().await;
    let app: Router = Router::new().route("/", get(caller));
    let running = run(listener, app.into_make_service_with_connect_info::<Caller>());
    let port: u16 = h1::call(at, "GET", "/").await.body.parse().unwrap();
    assert_ne!(port, at.port());
    stop(running).await;
}

#[tokio::test]
async fn a_make_service_and_a_tower_service_are_served_as_they_are() {
    let (listener, at) = tcp().await;
    let app: Router = Router::new().route("/", get(async || "made"));
    let running = run(listener, app.into_make_service());
    assert_eq!(h1::call(at, "GET", "/").await.body, "made");
    stop(running).await;

    let (listener, at) = tcp().await;
    let answer = tower::service_fn(async |request: Request| {
        Ok::<_, Infallible>(Response::new(Body::from(request.uri().path().to_owned())))
    });
    let running = run(listener, answer);
    assert_eq!(h1::call(at, "GET", "/plain").await.body, "/plain");
    stop(running).await;
}

#[cancellable(read)]
async fn wait(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    let _dropped = marks.on_drop("dropped");
    let watched = (marks.clone(), token);
    tokio::spawn(async move { watched.0.set(watched.1.cancelled().await.as_str()) });
    marks.set("waiting");
    std::future::pending().await
}

async fn uid(ConnectInfo(peer): ConnectInfo<UnixPeer>) -> String {
    assert_eq!(peer.pid(), Some(i32::try_from(std::process::id()).unwrap()));
    assert!(peer.gid().is_some());
    peer.uid().map(|uid| uid.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn a_unix_socket_is_served_watched_and_knows_its_peer() {
    let marks = Marks::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.sock");
    let app = Router::new()
        .route("/uid", get(uid))
        .route("/wait", get(wait).post(wait))
        .with_state(marks.clone());
    let listener = UnixListener::bind(&path).unwrap();
    let running = run(listener, app.into_make_service_with_connect_info::<UnixPeer>());
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"GET /uid HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon("the answer", client.read_to_string(&mut answer)).await.unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap());
    assert!(answer.ends_with(&uid.to_string()), "{answer}");

    // The handler does not read the body, so hyper does not read from the socket.
    let mut client = UnixStream::connect(&path).await.unwrap();
    client
        .write_all(b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
        .await
        .unwrap();
    marks.until("waiting").await;
    drop(client);
    marks.until("dropped").await;
    marks.until("client_disconnected").await;
    stop(running).await;
}

/// Returns a server configuration, and a connector that trusts it and offers these protocols.
fn tls(offered: &[&[u8]]) -> (ServerConfig, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (server, TlsConnector::from(Arc::new(client)))
}

async fn connect(connector: &TlsConnector, at: SocketAddr) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(at).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    soon("the handshake", connector.connect(name, tcp)).await.unwrap()
}

#[tokio::test]
async fn tls_offers_both_protocols_and_serves_what_the_client_picks() {
    let (config, connector) = tls(&[b"h2", b"http/1.1"]);
    let app: Router = Router::new()
        .route("/", get(async |version: Version| format!("{version:?}")))
        .route("/peer", get(peer));
    let (listener, at) = tcp().await;
    let lifecycle = lifecycle().build().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let serve = followthrough::serve(listener, app).tls(config).lifecycle(lifecycle.clone());
    let running = tokio::spawn(serve.into_future());

    let stream = connect(&connector, at).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get("https://localhost/").body(()).unwrap();
    let (response, _) = send.ready().await.unwrap().send_request(request, true).unwrap();
    let mut body = soon("the answer", response).await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "HTTP/2.0");
    driver.abort();

    let (_, only_1) = tls(&[]);
    // A client with another root certificate fails its handshake, and the server goes on.
    let name = ServerName::try_from("localhost").unwrap();
    let stranger = TcpStream::connect(at).await.unwrap();
    only_1.connect(name, stranger).await.unwrap_err();

    // A plain-text client gets no response.
    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the end", plain.read_to_end(&mut answer)).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"));
    stop((lifecycle, running)).await;
}

#[tokio::test]
async fn over_tls_a_client_without_alpn_gets_http_1_and_its_disconnect_is_noticed() {
    let marks = Marks::default();
    let (config, connector) = tls(&[]);
    let app = Router::new().route("/", get(wait).post(wait)).with_state(marks.clone());
    let (listener, at) = tcp().await;
    let lifecycle = lifecycle().build().unwrap();
    let serve = followthrough::serve(listener, app).tls(config).lifecycle(lifecycle.clone());
    let running = tokio::spawn(serve.into_future());
    for request in [
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        // hyper does not read the socket behind a pipelined request or an unread body.
        "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf",
    ] {
        let marks_before = marks.all().len();
        let mut stream = connect(&connector, at).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        soon("the handler", async {
            while marks.all().len() == marks_before {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(stream);
        soon("the end of the handler", async {
            while marks.all().len() < marks_before + 3 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!(
            marks.all().iter().filter(|mark| *mark == "client_disconnected").count(),
            marks_before / 3 + 1,
            "{request}"
        );
    }
    // A silent client without a handshake does not delay the end.
    let _silent = TcpStream::connect(at).await.unwrap();
    stop((lifecycle, running)).await;
}

/// The server closes the TLS session first, and then reads on below it.
#[tokio::test]
async fn over_tls_a_client_that_sends_all_before_it_reads_gets_an_early_answer() {
    const LENGTH: usize = 10 << 20;
    let (config, connector) = tls(&[]);
    let app: Router = Router::new().route("/", post(async || "early"));
    let (listener, at) = tcp().await;
    let lifecycle = lifecycle().build().unwrap();
    let serve = followthrough::serve(listener, app).tls(config).lifecycle(lifecycle.clone());
    let running = tokio::spawn(serve.into_future());
    for _ in 0..10 {
        let mut stream = connect(&connector, at).await;
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {LENGTH}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; LENGTH]).await.expect("no reset comes first");
        let mut answer = String::new();
        soon("the answer", stream.read_to_string(&mut answer)).await.expect("nor now");
        assert!(answer.contains("connection: close\r\n") && answer.ends_with("early"), "{answer}");
    }
    stop((lifecycle, running)).await;
}
