//! A client on a real socket, and its ways to disconnect.

use std::{io, net::SocketAddr, time::Duration};

use http::{Request, StatusCode, Uri, header::HOST, uri::Authority};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::{SockRef, Socket};
use tokio::{net::TcpStream, task::JoinHandle};

use super::{answer::Answer, exchange::BoxError, point::Disconnect, request::Fed};

/// A connection for one request.
pub(super) struct Client {
    sender: Sender,
    connection: JoinHandle<()>,
    /// A second handle of the socket.
    socket: Socket,
    address: SocketAddr,
    by: Disconnect,
}

enum Sender {
    Http1(http1::SendRequest<Fed>),
    Http2(http2::SendRequest<Fed>),
}

impl Client {
    pub(super) async fn connect(address: SocketAddr, by: Disconnect) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream).try_clone()?;
        let io = TokioIo::new(stream);
        let (sender, connection) = if by.is_http2() {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.map_err(io::Error::other)?;
            (Sender::Http2(sender), tokio::spawn(async { drop(connection.await) }))
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
            (Sender::Http1(sender), tokio::spawn(async { drop(connection.await) }))
        };
        Ok(Self { sender, connection, socket, address, by })
    }

    /// Sends the request and reads the response to its end. Dropping the future over HTTP/2 resets the stream.
    ///
    /// `answered` is called with the status. A server that abandons the request closes the connection without a
    /// response.
    pub(super) async fn exchange(
        &mut self,
        mut request: Request<Fed>,
        answered: impl FnOnce(StatusCode),
    ) -> Result<Answer, BoxError> {
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                if !request.headers().contains_key(HOST) {
                    if let Ok(host) = self.address.to_string().parse() {
                        request.headers_mut().insert(HOST, host);
                    }
                }
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                *request.uri_mut() = absolute(request.uri(), self.address);
                sender.send_request(request).await
            }
        };
        let response = response?;
        answered(response.status());
        Answer::read(response).await
    }

    /// Closes the connection.
    pub(super) async fn close(self) {
        drop((self.sender, self.socket));
        self.connection.abort();
        let _ = self.connection.await;
    }

    /// Disconnects in the way of this run.
    pub(super) async fn leave(self) -> Gone {
        if self.by == Disconnect::Http2StreamReset {
            return Gone { _stays: Some((self.sender, self.connection)) };
        }
        if self.by.resets_connection() {
            // With a linger of zero the close sends RST. If that fails, the close sends FIN.
            let _ = self.socket.set_linger(Some(Duration::ZERO));
        }
        self.close().await;
        Gone { _stays: None }
    }
}

/// A client that has disconnected. Its connection may stay open.
pub(super) struct Gone {
    _stays: Option<(Sender, JoinHandle<()>)>,
}

fn absolute(uri: &Uri, address: SocketAddr) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    if parts.authority.is_none() {
        parts.authority = address.to_string().parse::<Authority>().ok();
    }
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
