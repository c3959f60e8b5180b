//! An HTTP/2 client with prior knowledge that can reset its streams.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    ext::Protocol,
};
use http::{HeaderMap, Request, StatusCode};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::soon;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    send: SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

/// A request on its stream.
#[derive(Debug)]
pub struct Call {
    response: ResponseFuture,
    stream: SendStream<Bytes>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it came.
    pub body: String,
    /// Whether the body came to its end.
    pub whole: bool,
}

/// A stream whose head has come.
#[derive(Debug)]
pub struct Opened {
    stream: SendStream<Bytes>,
    body: RecvStream,
}

impl Opened {
    /// Sends `RST_STREAM`.
    pub fn reset(mut self) {
        self.stream.send_reset(Reason::CANCEL);
        drop(self.body);
    }
}

/// Connects.
///
/// # Panics
///
/// If the server cannot be reached.
pub async fn connect(at: SocketAddr) -> Connection {
    let stream = TcpStream::connect(at).await.expect("the server listens");
    // A reset must not wait for what came before it to be acknowledged.
    stream.set_nodelay(true).expect("the socket is open");
    let (send, connection) = h2::client::handshake(stream).await.expect("the server speaks HTTP/2");
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    Connection { send, driver }
}

impl Connection {
    /// Sends a request without a body.
    ///
    /// # Panics
    ///
    /// If the connection is gone.
    pub async fn send(&mut self, method: &str, path: &str) -> Call {
        let uri = format!("http://test{path}");
        let request = Request::builder().method(method).uri(uri).body(()).expect("a sound request");
        let mut send = self.send.clone().ready().await.expect("the connection is open");
        let (response, stream) = send.send_request(request, true).expect("the connection is open");
        Call { response, stream }
    }

    /// Opens a WebSocket on a stream (RFC 8441), without a frame on it.
    ///
    /// # Panics
    ///
    /// If the server does not agree.
    pub async fn open_web_socket(&mut self, path: &str) -> Opened {
        soon("leave for extended CONNECT", async {
            while !self.send.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let request = Request::connect(format!("http://test{path}"))
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(())
            .expect("a sound request");
        let mut send = self.send.clone().ready().await.expect("the connection is open");
        let (response, stream) = send.send_request(request, false).expect("the connection is open");
        let response = soon("the answer", response).await.expect("an answer comes");
        assert_eq!(response.status(), 200);
        Opened { stream, body: response.into_body() }
    }

    /// Waits for `GOAWAY`.
    ///
    /// # Panics
    ///
    /// If it does not come soon.
    pub async fn is_told_to_go(&mut self) {
        soon("GOAWAY", async {
            while self.send.clone().ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Closes the connection without a word.
    pub fn hang_up(self) {
        self.driver.abort();
    }
}

impl Call {
    /// Waits for the head, and reads nothing else.
    ///
    /// # Panics
    ///
    /// If it does not come.
    pub async fn begins(self) -> Opened {
        let response = soon("the head", self.response).await.expect("an answer comes");
        Opened { stream: self.stream, body: response.into_body() }
    }

    /// Waits for the head, then sends `RST_STREAM`.
    pub async fn begins_and_resets(self) {
        self.begins().await.reset();
    }

    /// Sends `RST_STREAM`.
    pub fn reset(mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }

    /// Waits for the answer.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn answer(self) -> Answer {
        let response = soon("an answer", self.response).await.expect("an answer comes");
        let (parts, mut incoming) = response.into_parts();
        let (mut body, mut whole) = (Vec::new(), true);
        while let Some(chunk) = soon("the next chunk", incoming.data()).await {
            let Ok(chunk) = chunk else {
                whole = false;
                break;
            };
            let _ = incoming.flow_control().release_capacity(chunk.len());
            body.extend_from_slice(&chunk);
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer { status: parts.status, headers: parts.headers, body, whole }
    }
}
