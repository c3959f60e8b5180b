//! An HTTP/2 client with prior knowledge.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::Request;
use tokio::{net::TcpStream, task::JoinHandle};

use super::{Answer, KEY, REPLAYED, Sent, TIMEOUT, UPLOAD};

pub(crate) struct Call {
    send: SendRequest<Bytes>,
    driver: Driver,
    stream: SendStream<Bytes>,
    head: Option<ResponseFuture>,
    body: Option<RecvStream>,
    read: Answer,
    finished: bool,
}

/// The task that drives the connection. Dropping it closes the connection.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn failed(error: h2::Error) -> io::Error {
    io::Error::other(error)
}

async fn request(
    send: &SendRequest<Bytes>,
    Sent { path, timeout, key }: Sent<'_>,
    whole: bool,
) -> io::Result<(ResponseFuture, SendStream<Bytes>)> {
    let mut request = Request::post(format!("http://campaign{path}"));
    if let Some(timeout) = timeout {
        request = request.header(TIMEOUT, timeout.as_millis().to_string());
    }
    if let Some(key) = key {
        request = request.header(KEY, format!("\"{key}\""));
    }
    let request = request.body(()).map_err(io::Error::other)?;
    let mut send = send.clone().ready().await.map_err(failed)?;
    send.send_request(request, whole).map_err(failed)
}

impl Call {
    pub(super) async fn send(at: SocketAddr, ask: Sent<'_>) -> io::Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = h2::client::handshake(stream).await.map_err(failed)?;
        let driver = Driver(tokio::spawn(async move {
            // The streams report an error of the connection.
            let _ = connection.await;
        }));
        let (head, mut stream) = request(&send, ask, false).await?;
        stream.send_data(Bytes::from_static(UPLOAD[0].as_bytes()), false).map_err(failed)?;
        let read = Answer::default();
        Ok(Self { send, driver, stream, head: Some(head), body: None, read, finished: false })
    }

    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            let _ = self.stream.send_data(Bytes::from_static(UPLOAD[1].as_bytes()), true);
        }
    }

    pub(super) async fn answer(&mut self) -> io::Result<Answer> {
        if let Some(head) = &mut self.head {
            let head = head.await;
            self.head = None;
            let (parts, body) = head.map_err(failed)?.into_parts();
            self.read.status = parts.status.as_u16();
            self.read.retry_after = parts.headers.contains_key("retry-after");
            self.read.replayed = parts.headers.contains_key(REPLAYED);
            self.body = Some(body);
        }
        let Some(body) = &mut self.body else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        while let Some(chunk) = body.data().await {
            let Ok(chunk) = chunk else { return Ok(self.read.clone()) };
            let _ = body.flow_control().release_capacity(chunk.len());
            self.read.body.push_str(&String::from_utf8_lossy(&chunk));
        }
        self.read.whole = true;
        Ok(self.read.clone())
    }

    pub(super) async fn disconnect(mut self) {
        self.driver.0.abort();
        // The driver holds the socket until it ends.
        let _ = (&mut self.driver.0).await;
    }

    pub(super) fn reset(&mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }

    pub(super) async fn sibling(&mut self, path: &str) -> io::Result<()> {
        let sent = Sent { path, timeout: None, key: None };
        let (head, _stream) = request(&self.send, sent, true).await?;
        // The server resets the stream, because its handler panics.
        drop(head.await);
        Ok(())
    }
}
