//! A server that the handlers call, with a mark for each of its requests.

use std::net::SocketAddr;

use followthrough_tests::{Marks, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Marks `asked {path}` for each request, and `left {path}` when its connection ends before the
/// response. `/now…` answers at once, `/stalls` sends the beginning of a response, and any other
/// path answers after the mark `go`.
pub(crate) struct Callee {
    pub(crate) at: SocketAddr,
    pub(crate) marks: Marks,
}

impl Callee {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let at = listener.local_addr().expect("it is bound");
        let marks = Marks::default();
        let seen = marks.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(attend(stream, seen.clone()));
            }
        });
        Self { at, marks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    /// Returns the `grpc-timeout` of the request for `path`.
    pub(crate) fn told(&self, path: &str) -> Option<String> {
        let of_path = format!("told {path} ");
        self.marks.all().iter().find_map(|mark| mark.strip_prefix(&of_path).map(str::to_owned))
    }
}

async fn attend(mut stream: TcpStream, marks: Marks) {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let path = head.split(' ').nth(1).expect("a request has a path").to_owned();
    for line in head.lines() {
        if let Some(value) = line.strip_prefix("grpc-timeout: ") {
            marks.set(format!("told {path} {value}"));
        }
    }
    marks.set(format!("asked {path}"));
    if path == "/stalls" {
        let begin = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin";
        stream.write_all(begin.as_bytes()).await.expect("the caller reads");
    }
    let go = async {
        if !path.starts_with("/now") {
            marks.until("go").await;
        }
    };
    tokio::select! {
        () = go => {
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        () = ended(&mut stream) => marks.set(format!("left {path}")),
    }
}

async fn ended(stream: &mut TcpStream) {
    while stream.read(&mut [0; 64]).await.unwrap_or(0) > 0 {}
}

/// A port that knows its first connection.
pub(crate) struct Door(TcpListener);

impl Door {
    pub(crate) async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a port is free"))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.0.local_addr().expect("it is bound"))
    }

    /// Asserts that no client has connected. The kernel accepts connections in order, so a
    /// connection of the test's own comes first.
    pub(crate) async fn nobody_came(&self) {
        let at = self.0.local_addr().expect("it is bound");
        let own = TcpStream::connect(at).await.expect("it listens");
        let (_, first) = soon("a connection", self.0.accept()).await.expect("it listens");
        assert_eq!(Some(first), own.local_addr().ok(), "another connection came first");
    }
}
