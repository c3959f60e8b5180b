//! The requests that an HTTP/1 client has sent before it leaves.

use axum::Router;
use followthrough::LifecycleBuilder;
use followthrough_tests::{Leaving, Server};
use tokio::net::TcpSocket;

use super::probe::Upload;

/// Larger than any receive window here.
const HUGE: usize = 64 << 20;

/// A case of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Idle,
    /// HTTP/1.0, which nginx sends to its upstreams by default.
    OldProtocol,
    /// `Connection: close`.
    LastOnConnection,
    /// The second request on a connection.
    AfterAnother,
    BodyRead,
    BodyUnread,
    BodyHeld,
    /// An empty line behind the body, as old clients send.
    StrayBytes,
    HalfSentUnread,
    HalfSentHeld,
    /// The client waits for `100 Continue`, and the handler does not ask for the body.
    HalfSentExpecting,
    HalfSentSipped,
    HalfSentCollected,
    HalfSentFrames,
    HalfSentChunkedHeld,
    HalfSentChunkedFrames,
    Pipelined,
    PipelinedLater,
    /// That many KiB between the request and the `FIN`.
    PipelinedKib(usize),
    LargerThanTheWindow,
    LargerThanTheWindowHeld,
}

impl Case {
    pub(crate) const ALL: [Self; 23] = [
        Self::Idle,
        Self::OldProtocol,
        Self::LastOnConnection,
        Self::AfterAnother,
        Self::BodyRead,
        Self::BodyUnread,
        Self::BodyHeld,
        Self::StrayBytes,
        Self::HalfSentUnread,
        Self::HalfSentHeld,
        Self::HalfSentExpecting,
        Self::HalfSentSipped,
        Self::HalfSentCollected,
        Self::HalfSentFrames,
        Self::HalfSentChunkedHeld,
        Self::HalfSentChunkedFrames,
        Self::Pipelined,
        Self::PipelinedLater,
        Self::PipelinedKib(64),
        Self::PipelinedKib(160),
        Self::PipelinedKib(300),
        Self::LargerThanTheWindow,
        Self::LargerThanTheWindowHeld,
    ];

    pub(crate) const fn upload(self) -> Upload {
        match self {
            Self::BodyRead => Upload::Text,
            Self::BodyHeld
            | Self::HalfSentHeld
            | Self::HalfSentChunkedHeld
            | Self::LargerThanTheWindowHeld => Upload::Held,
            Self::HalfSentSipped => Upload::Sipped,
            Self::HalfSentCollected => Upload::Collected,
            Self::HalfSentFrames | Self::HalfSentChunkedFrames => Upload::Frames,
            _ => Upload::NotTaken,
        }
    }

    /// Returns the bytes that the client sends at once.
    pub(crate) fn request(self, path: &str) -> String {
        let get = |fields: &str| format!("GET {path} HTTP/1.1\r\nhost: test\r\n{fields}\r\n");
        let post = |fields: &str| format!("POST {path} HTTP/1.1\r\nhost: test\r\n{fields}\r\n\r\n");
        match self {
            Self::Idle | Self::PipelinedLater | Self::PipelinedKib(_) => get(""),
            Self::OldProtocol => format!("GET {path} HTTP/1.0\r\nhost: test\r\n\r\n"),
            Self::LastOnConnection => get("connection: close\r\n"),
            Self::AfterAnother => "GET /first HTTP/1.1\r\nhost: test\r\n\r\n".to_owned() + &get(""),
            Self::StrayBytes => post("content-length: 5") + "hello\r\n",
            Self::BodyRead | Self::BodyUnread | Self::BodyHeld => {
                post("content-length: 5") + "hello"
            }
            Self::HalfSentExpecting => post("expect: 100-continue\r\ncontent-length: 5"),
            Self::HalfSentUnread
            | Self::HalfSentHeld
            | Self::HalfSentSipped
            | Self::HalfSentCollected
            | Self::HalfSentFrames => post("content-length: 100000") + "hello",
            Self::HalfSentChunkedHeld | Self::HalfSentChunkedFrames => {
                post("transfer-encoding: chunked") + "5\r\nhello\r\n"
            }
            Self::Pipelined => get("") + "GET /next HTTP/1.1\r\nhost: test\r\n\r\n",
            Self::LargerThanTheWindow | Self::LargerThanTheWindowHeld => {
                post(&format!("content-length: {HUGE}"))
            }
        }
    }

    /// Returns the bytes that the client sends after the handler has begun.
    pub(crate) fn later(self) -> Vec<u8> {
        let body = |length| vec![b'x'; length];
        let next = |length: usize| {
            let head =
                format!("POST /next HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
            [head.into_bytes(), body(length)].concat()
        };
        match self {
            // A part stays in the socket, because no server reads ahead without a limit.
            Self::HalfSentUnread | Self::HalfSentHeld | Self::HalfSentSipped => body(30_000),
            Self::PipelinedLater => next(0),
            Self::PipelinedKib(kib) => next(kib << 10),
            Self::LargerThanTheWindow | Self::LargerThanTheWindowHeld => body(HUGE),
            _ => Vec::new(),
        }
    }

    /// Returns whether all bytes fit into the server's socket, so that a `FIN` behind them arrives.
    pub(crate) const fn fits(self) -> bool {
        match self {
            Self::LargerThanTheWindow | Self::LargerThanTheWindowHeld => false,
            Self::PipelinedKib(kib) => kib <= 160,
            _ => true,
        }
    }

    /// Returns the ways to leave that the server can notice. TCP holds the `FIN` back while the
    /// window is full.
    pub(crate) fn leavings(self) -> impl Iterator<Item = Leaving> {
        Leaving::ALL.into_iter().filter(move |&how| self.fits() || how == Leaving::Reset)
    }

    /// Starts a server whose sockets have room for the bytes of the case.
    pub(crate) fn serve(self, builder: LifecycleBuilder, app: Router) -> Server {
        // The default maximum of Linux. Half of it becomes the window, which begins at 64 KiB by
        // default and grows only while the server reads.
        const ROOM: u32 = 208 << 10;
        let socket = TcpSocket::new_v4().expect("a descriptor is free");
        if matches!(self, Self::PipelinedKib(65..)) {
            socket.set_recv_buffer_size(ROOM).expect("a socket has this option");
        }
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port is free");
        let listener = socket.listen(16).expect("it is bound");
        Server::on(listener, builder, app)
    }
}
