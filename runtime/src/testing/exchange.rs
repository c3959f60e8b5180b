//! Sends a request and disconnects, in the process or over loopback.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc};

use axum::extract::Request;
use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};

use super::{
    answer::Answer,
    client::Client,
    point::Disconnect,
    request::{Fed, Feed, in_pieces},
    retry::retry,
    run::Run,
    watch::Watch,
    watchdog::Watchdog,
};
use crate::{lifecycle::Lifecycle, serve::serve, service::ShutdownReport};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How a run ended.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The request reached its point, and the client left.
    Cut,
    /// The response was complete before that.
    Whole,
    /// The request made no progress within the timeout, and the client left.
    Stuck,
}

/// The result of a run.
pub(super) struct Left {
    pub(super) end: End,
    pub(super) report: ShutdownReport,
    /// The server dropped the request after the client had left.
    pub(super) noticed: bool,
    /// The answer of the first request, if it is whole.
    pub(super) whole: Option<Answer>,
    /// The answer of the retry.
    pub(super) retry: Option<Result<Answer, String>>,
}

/// Sends one request to `service`, disconnects at the point, sends the request again if `retries` is set, and waits
/// until all work that follows through has ended.
pub(super) async fn exchange<S, B>(
    service: S,
    request: http::Request<Bytes>,
    run: &Arc<Run>,
    lifecycle: Lifecycle,
    watchdog: &Watchdog,
    retries: bool,
) -> io::Result<Left>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data: Send + 'static, Error: Into<BoxError>> + Send + 'static,
{
    let watched = Watch::new(service, run.clone());
    let again = retries.then(|| request.clone());
    let (head, body) = request.into_parts();
    let (feed, body) = in_pieces(body, run.point().entropy);
    let request = http::Request::from_parts(head, body);
    watchdog.pet();
    if run.point().by == Disconnect::Drop {
        let service = lifecycle.layer().layer(watched);
        let first = in_process(service.clone(), request, |status| run.answered(status));
        let (end, whole) = until(first, feed, run, watchdog).await;
        let send = async |request| in_process(service.clone(), request, drop).await;
        let retry = match again.filter(|_| !matches!(end, End::Stuck)) {
            Some(request) => Some(retry(&request, watchdog, send).await),
            None => None,
        };
        lifecycle.shutdown();
        let report = lifecycle.drained().await;
        return Ok(Left { end, report, noticed: true, whole, retry });
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let _ends = Ends(&lifecycle);
    let server = serve(listener, watched).lifecycle(lifecycle.clone()).into_future();
    let server = tokio::spawn(server);
    let mut client = Client::connect(address, run.point().by).await?;
    let first = client.exchange(request, |status| run.answered(status));
    let (end, whole) = until(first, feed, run, watchdog).await;
    watchdog.pet();
    let _gone = client.leave().await;
    let noticed = tokio::select! {
        () = run.gone.notified() => true,
        () = watchdog.barked() => false,
    };
    let send = async |request| over_the_wire(address, run.point().by, request).await;
    let retry = match again.filter(|_| noticed && !matches!(end, End::Stuck)) {
        Some(request) => Some(retry(&request, watchdog, send).await),
        None => None,
    };
    lifecycle.shutdown();
    let report = server.await.map_err(io::Error::other)??;
    Ok(Left { end, report, noticed, whole, retry })
}

/// Sends a request without a server. `answered` is called with the status of its answer.
async fn in_process<S, B>(
    service: S,
    request: http::Request<Fed>,
    answered: impl FnOnce(StatusCode),
) -> Result<Answer, BoxError>
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Error: Into<BoxError>>,
{
    let Ok(response) = service.oneshot(request.map(axum::body::Body::new)).await;
    answered(response.status());
    Answer::read(response).await
}

/// Sends a request on a connection of its own.
async fn over_the_wire(
    address: SocketAddr,
    by: Disconnect,
    request: http::Request<Fed>,
) -> Result<Answer, BoxError> {
    let mut client = Client::connect(address, by).await?;
    let answer = client.exchange(request, drop).await;
    client.close().await;
    answer
}

/// Shuts down the server of a run whose future is dropped.
struct Ends<'a>(&'a Lifecycle);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

/// Feeds the request body until the request is at its point, complete, or stuck, and then drops the exchange.
/// Returns the answer if it is whole.
async fn until(
    exchange: impl Future<Output = Result<Answer, BoxError>>,
    mut feed: Feed,
    run: &Run,
    watchdog: &Watchdog,
) -> (End, Option<Answer>) {
    let mut exchange = pin!(exchange);
    loop {
        tokio::select! {
            biased;
            answer = exchange.as_mut() => return (End::Whole, answer.ok()),
            () = run.reached.notified() => return (End::Cut, None),
            () = run.suspended.notified() => feed.next(),
            () = watchdog.barked() => return (End::Stuck, None),
        }
    }
}
