//! An HTTP/2 client with prior knowledge that can reset its streams.

use std::{
    net::{Shutdown, SocketAddr},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    ext::Protocol,
};
use http::{HeaderMap, Request, StatusCode};
use socket2::{SockRef, Socket};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::{Leaving, Left, SOON, soon};

/// A `GOAWAY` frame: last stream 0, no error.
const GO_AWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// An HTTP/2 connection.
#[derive(Debug)]
pub struct Connection {
    send: SendRequest<Bytes>,
    driver: JoinHandle<()>,
    // The driver owns the connection. This is the same socket, for frames that `h2` does not send.
    socket: Socket,
}

/// A request on a stream of its own.
#[derive(Debug)]
pub struct Call {
    response: ResponseFuture,
    stream: SendStream<Bytes>,
}

/// A stream whose response has begun.
#[derive(Debug)]
pub struct Open {
    stream: SendStream<Bytes>,
    // Dropping the body resets the stream.
    incoming: RecvStream,
}

impl Open {
    /// Reads the next chunk and returns its length, or `None` at the end of the stream.
    ///
    /// # Panics
    ///
    /// If the stream is reset, or no chunk comes.
    pub async fn chunk(&mut self) -> Option<usize> {
        let chunk =
            soon("the next chunk", self.incoming.data()).await?.expect("the stream is open");
        let _ = self.incoming.flow_control().release_capacity(chunk.len());
        Some(chunk.len())
    }

    /// Waits until the server resets the stream.
    ///
    /// # Panics
    ///
    /// If the stream ends in another way.
    pub async fn is_reset(mut self) {
        let end = loop {
            match soon("the reset", self.incoming.data()).await {
                Some(Ok(_)) => {}
                end => break end,
            }
        };
        assert!(
            end.as_ref().is_some_and(|end| end.as_ref().is_err_and(h2::Error::is_reset)),
            "{end:?}"
        );
    }

    /// Sends `RST_STREAM`.
    pub fn reset(mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The part of the body that arrived.
    pub body: String,
    /// Whether the body came to its end.
    pub whole: bool,
}

/// Connects.
///
/// # Panics
///
/// If the server cannot be reached.
pub async fn connect(at: SocketAddr) -> Connection {
    let stream = TcpStream::connect(at).await.expect("the server listens");
    // Nagle's algorithm would delay frames.
    stream.set_nodelay(true).expect("the socket is open");
    let socket = SockRef::from(&stream).try_clone().expect("a descriptor is free");
    let (send, connection) = h2::client::handshake(stream).await.expect("the server speaks HTTP/2");
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    Connection { send, driver, socket }
}

/// Returns the first bytes of a connection for a peer that sends nothing else: no window update,
/// and no acknowledgement of SETTINGS or PING. `request` is the method and the path of a request.
///
/// # Panics
///
/// If the path has more than 100 bytes.
pub fn first_bytes(request: Option<(&str, &str)>) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let Some((method, path)) = request else { return bytes };
    // HPACK: method and scheme are indexed in the static table, authority and path are literals.
    let mut headers = vec![if method == "POST" { 0x83 } else { 0x82 }, 0x86];
    for (name, value) in [(0x01, "test"), (0x04, path)] {
        let length = u8::try_from(value.len()).ok().filter(|length| *length <= 100);
        headers.extend([name, length.expect("it is short")]);
        headers.extend_from_slice(value.as_bytes());
    }
    let length = u8::try_from(headers.len()).expect("it is short");
    // HEADERS on stream 1 with END_HEADERS and END_STREAM.
    bytes.extend([0, 0, length, 0x01, 0x05, 0, 0, 0, 1]);
    bytes.extend(headers);
    bytes
}

impl Connection {
    /// Sends a request without a body.
    ///
    /// # Panics
    ///
    /// If the connection is gone.
    pub async fn send(&mut self, method: &str, path: &str) -> Call {
        self.request(method, path, None, true).await
    }

    /// Sends the head of a request whose body follows.
    ///
    /// # Panics
    ///
    /// If the connection is gone.
    pub async fn begin(&mut self, method: &str, path: &str) -> Call {
        self.request(method, path, None, false).await
    }

    /// Sends the head of a request with one more header.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub async fn begin_with(&mut self, method: &str, path: &str, header: (&str, &str)) -> Call {
        self.request(method, path, Some(header), false).await
    }

    async fn request(
        &mut self,
        method: &str,
        path: &str,
        header: Option<(&str, &str)>,
        whole: bool,
    ) -> Call {
        let mut request = Request::builder().method(method).uri(format!("http://test{path}"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(()).expect("a sound request");
        let mut send = self.send.clone().ready().await.expect("the connection is open");
        let (response, stream) = send.send_request(request, whole).expect("the connection is open");
        Call { response, stream }
    }

    /// Opens a WebSocket on a stream (RFC 8441), and sends no frame on it.
    ///
    /// # Panics
    ///
    /// If the server does not accept it.
    pub async fn open_web_socket(&mut self, path: &str) -> Open {
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
        Open { stream, incoming: response.into_body() }
    }

    /// Waits for `GOAWAY`.
    ///
    /// # Panics
    ///
    /// If no `GOAWAY` comes soon.
    pub async fn is_told_to_go(&mut self) {
        soon("GOAWAY", async {
            while self.send.clone().ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Sends `GOAWAY`. No other frame may be on its way at the same time.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub fn go_away(&self) {
        let sent = self.socket.send(&GO_AWAY).expect("the connection is open");
        assert_eq!(sent, GO_AWAY.len(), "the socket has room for a frame");
    }

    /// Leaves. A half-close returns the half of the connection that still reads.
    ///
    /// # Panics
    ///
    /// If the connection is already closed.
    pub async fn leave(self, how: Leaving) -> Left<Self> {
        let at = Instant::now();
        match how {
            Leaving::Close => {}
            Leaving::Reset => {
                self.socket.set_linger(Some(Duration::ZERO)).expect("the socket is open");
            }
            Leaving::HalfClose => {
                self.socket.shutdown(Shutdown::Write).expect("the connection is open");
                return Left { at, kept: Some(self) };
            }
        }
        // The driver and this value hold the socket.
        self.driver.abort();
        let _ = self.driver.await;
        Left { at, kept: None }
    }

    /// Closes the connection without `GOAWAY`.
    pub fn hang_up(self) {
        self.driver.abort();
    }
}

impl Call {
    /// Waits for the head of the response, and reads no body.
    ///
    /// # Panics
    ///
    /// If no head comes.
    pub async fn begins(self) -> Open {
        let response = soon("the head", self.response).await.expect("an answer comes");
        Open { stream: self.stream, incoming: response.into_body() }
    }

    /// Sends a part of the request's body.
    ///
    /// # Panics
    ///
    /// If the stream is closed.
    pub fn data(&mut self, bytes: &'static [u8]) {
        self.stream.send_data(Bytes::from_static(bytes), false).expect("the stream is open");
    }

    /// Ends the request's body, with trailers if there are any.
    ///
    /// # Panics
    ///
    /// If the stream is closed.
    pub fn finish(&mut self, trailers: HeaderMap) {
        let finished = if trailers.is_empty() {
            self.stream.send_data(Bytes::new(), true)
        } else {
            self.stream.send_trailers(trailers)
        };
        finished.expect("the stream is open");
    }

    /// Waits until `needle` has come, and returns the open stream.
    ///
    /// # Panics
    ///
    /// If the stream ends before.
    pub async fn until(self, needle: &str) -> Open {
        let response = soon("an answer", self.response).await.expect("an answer comes");
        let mut incoming = response.into_body();
        let mut body = Vec::new();
        while !String::from_utf8_lossy(&body).contains(needle) {
            let chunk = soon(needle, incoming.data()).await.expect("it comes before the end");
            let chunk = chunk.expect("the stream is open");
            let _ = incoming.flow_control().release_capacity(chunk.len());
            body.extend_from_slice(&chunk);
        }
        Open { stream: self.stream, incoming }
    }

    /// Sends `RST_STREAM`.
    pub fn reset(self) {
        self.reset_with(Reason::CANCEL);
    }

    /// Sends `RST_STREAM` with `reason`.
    pub fn reset_with(mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// Waits for the response.
    ///
    /// # Panics
    ///
    /// If no response comes.
    pub async fn answer(self) -> Answer {
        self.answer_within(SOON).await
    }

    /// Waits for the response, whose head may take `most`.
    ///
    /// # Panics
    ///
    /// If no response comes.
    pub async fn answer_within(self, most: Duration) -> Answer {
        let response = tokio::time::timeout(most, self.response).await;
        let response = response.expect("the answer comes in time").expect("an answer comes");
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
