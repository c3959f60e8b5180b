//! A client that repeats its request until it has a definite answer.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) is_replayed: bool,
    invites_a_retry: bool,
}

impl Answer {
    /// Returns whether the client has to repeat its request.
    fn is_open(&self) -> bool {
        matches!(self.status, 502..=504) || (self.status == 409 && self.invites_a_retry)
    }
}

/// Orders `name` under the key `name`, once. Returns `None` if no whole answer comes, or if the client leaves after
/// `patience`.
pub(crate) async fn order_once(at: SocketAddr, name: &str, patience: Duration) -> Option<Answer> {
    let request = format!(
        "POST /orders HTTP/1.1\r\nhost: orders\r\nconnection: close\r\nidempotency-key: \"{name}\"\r\n\
         content-length: {}\r\n\r\n{name}",
        name.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(at).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        parsed(&text)
    };
    timeout(patience, exchange).await.ok().flatten()
}

fn parsed(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length: usize = header("content-length")?.parse().ok()?;
    (body.len() == length).then_some(())?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        body: body.to_owned(),
        is_replayed: header("idempotency-replayed") == Some("true"),
        invites_a_retry: header("retry-after").is_some(),
    })
}

/// Orders `name` as often as it takes. Returns the answer and the number of requests.
///
/// # Panics
///
/// If no definite answer comes within a minute.
pub(crate) async fn order(
    at: SocketAddr,
    name: &str,
    mut patience: impl FnMut() -> Duration,
) -> (Answer, u32) {
    let mut requests = 0;
    let answer = timeout(Duration::from_mins(1), async {
        loop {
            requests += 1;
            match order_once(at, name, patience()).await {
                Some(answer) if !answer.is_open() => return answer,
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    });
    let answer = answer.await;
    (
        answer.unwrap_or_else(|_| panic!("`{name}` has no answer after {requests} requests")),
        requests,
    )
}
