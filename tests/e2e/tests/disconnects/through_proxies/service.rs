//! A service behind a proxy, which tells the test when each request begins.

use std::time::{Duration, Instant};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use followthrough::{LifecycleBuilder, RequestToken, cancellable, durable_write, exempt};
use followthrough_tests::{
    Left, Marks, Server, h1, h2c, lifecycle,
    proxy::{Make, Proxy},
    soon,
};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    time::timeout,
};

/// A request whose handler has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) token: RequestToken,
    /// Closes when the handler, or its stream, drops the sender.
    dropped: oneshot::Receiver<()>,
}

impl Begun {
    pub(crate) async fn body_is_dropped(self) {
        let result = soon("the body is dropped", self.dropped).await;
        assert!(result.is_err(), "nothing is ever sent");
    }

    /// Returns whether the request is not cancelled within `time`.
    pub(crate) async fn runs_on(&mut self, time: Duration) -> bool {
        let fired = timeout(time, self.token.cancelled()).await;
        fired.is_err() && self.dropped.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }
}

#[derive(Clone, Debug)]
struct Shared {
    begun: UnboundedSender<Begun>,
    marks: Marks,
}

impl Shared {
    /// Tells the test. The body holds the returned sender until it is dropped.
    fn begin(&self, token: RequestToken) -> oneshot::Sender<()> {
        let (held, dropped) = oneshot::channel();
        let _ = self.begun.send(Begun { token, dropped });
        held
    }
}

#[exempt(reason = "answers at once")]
async fn up() -> &'static str {
    "up"
}

/// A write that the limit refuses before its body is read.
#[durable_write]
async fn counts(State(Shared { marks, .. }): State<Shared>) -> &'static str {
    marks.set("counted");
    marks.until("go").await;
    "counted"
}

#[cancellable(read)]
async fn waits(State(shared): State<Shared>, token: RequestToken) -> &'static str {
    let _held = shared.begin(token);
    std::future::pending().await
}

#[cancellable(read)]
async fn reads(State(shared): State<Shared>, token: RequestToken, body: Bytes) -> &'static str {
    let _held = shared.begin(token);
    assert!(!body.is_empty(), "the body has come");
    std::future::pending().await
}

#[cancellable(read)]
async fn keeps(State(shared): State<Shared>, token: RequestToken, unread: Request) -> &'static str {
    let _held = (shared.begin(token), unread);
    std::future::pending().await
}

#[cancellable(read)]
async fn drains(State(shared): State<Shared>, token: RequestToken, body: Body) -> &'static str {
    let _held = shared.begin(token);
    let _ = body.collect().await;
    // Half a body ends in an error, and the request then waits for its cancellation.
    std::future::pending().await
}

#[cancellable(stream)]
async fn events(State(shared): State<Shared>, token: RequestToken) -> Response {
    let held = shared.begin(token);
    let events = stream::unfold((held, false), |(held, sent)| async move {
        if sent {
            std::future::pending::<()>().await;
        }
        let event = Bytes::from_static(b"data: first\n\n");
        Some((Ok::<_, std::io::Error>(event), (held, true)))
    });
    let head = [("content-type", "text/event-stream")];
    (head, Body::from_stream(events)).into_response()
}

#[cancellable(stream)]
async fn unbuffered_events(shared: State<Shared>, token: RequestToken) -> Response {
    let events = events(shared, token).await.into_response();
    ([("x-accel-buffering", "no")], events).into_response()
}

/// The size of a piece of the large response, and the number of pieces: more than the sockets hold.
const PIECE: usize = 16 << 10;
const PIECES: usize = 2048;

#[cancellable(stream)]
async fn large(State(shared): State<Shared>, token: RequestToken) -> Body {
    let held = shared.begin(token);
    let pieces = stream::iter(0..PIECES).map(move |_| {
        let _held = &held;
        Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; PIECE]))
    });
    Body::from_stream(pieces)
}

#[durable_write]
async fn writes(State(Shared { marks, .. }): State<Shared>, body: Bytes) -> &'static str {
    assert!(!body.is_empty(), "the body has come");
    marks.set("begun");
    marks.until("go").await;
    marks.set("written");
    "written"
}

/// Returns a request with a body of that size.
pub(crate) fn request(method: &str, path: &str, size: usize) -> String {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {size}\r\n\r\n");
    head + &"x".repeat(size)
}

/// Returns a request with half of its body.
pub(crate) fn half_sent(path: &str) -> String {
    let whole = request("POST", path, 1_000);
    whole[..whole.len() - 500].to_owned()
}

/// The service and the proxy in front of it.
#[derive(Debug)]
pub(crate) struct Behind {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    pub(crate) marks: Marks,
    begun: UnboundedReceiver<Begun>,
}

impl Behind {
    /// Starts both. Returns `None` if the proxy cannot be installed.
    pub(crate) async fn start(make: Make, edits: &[(&str, &str)]) -> Option<Self> {
        Self::with(lifecycle(), make, edits).await
    }

    /// Starts both, the service with a lifecycle from `builder`.
    pub(crate) async fn with(
        builder: LifecycleBuilder,
        make: Make,
        edits: &[(&str, &str)],
    ) -> Option<Self> {
        let (told, begun) = unbounded_channel();
        let shared = Shared { begun: told, marks: Marks::default() };
        let marks = shared.marks.clone();
        let app = Router::new()
            .route("/up", any(up))
            .route("/waits", any(waits))
            .route("/reads", any(reads))
            .route("/keeps", any(keeps))
            .route("/drains", any(drains))
            .route("/events", any(events))
            .route("/unbuffered", any(unbuffered_events))
            .route("/large", any(large))
            .route("/writes", any(writes))
            .route("/counts", any(counts))
            .with_state(shared);
        let server = Server::with(builder, app).await;
        let proxy = Proxy::start(make, server.at, edits).await?;
        Some(Self { server, proxy, marks, begun })
    }

    /// Sends a request through the proxy and waits for its response.
    pub(crate) async fn is_up(&self) {
        assert_eq!(h1::call(self.proxy.at, "GET", "/up").await.body, "up");
    }

    /// Sends `request` to the proxy.
    pub(crate) async fn open(&self, request: &str) -> h1::Call {
        h1::raw(self.proxy.at, request).await
    }

    /// Waits until a handler has begun.
    pub(crate) async fn begun(&mut self) -> Begun {
        soon("a handler begins", self.begun.recv()).await.expect("the service is there")
    }

    /// Returns whether no further handler has begun.
    pub(crate) fn nothing_has_begun(&mut self) -> bool {
        self.begun.try_recv().is_err()
    }

    /// Sends a read over HTTP/2 and leaves after it has begun: by a reset of its stream, or with
    /// the whole connection.
    pub(crate) async fn leave_over_http_2(
        &mut self,
        whole: bool,
    ) -> (Left<h2c::Connection>, Begun) {
        let mut connection = h2c::connect(self.proxy.at).await;
        let call = connection.send("GET", "/waits").await;
        let begun = self.begun().await;
        let at = Instant::now();
        if whole {
            connection.hang_up();
            return (Left { at, kept: None }, begun);
        }
        call.reset();
        (Left { at, kept: Some(connection) }, begun)
    }

    /// Sends `request` to the proxy and waits until its handler, or its stream, has begun.
    pub(crate) async fn send(&mut self, request: &str) -> (h1::Call, Begun) {
        let mut call = self.open(request).await;
        let begun = self.begun().await;
        if request.starts_with("GET /events") {
            call.until("first").await;
        }
        (call, begun)
    }
}
