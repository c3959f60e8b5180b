//! Sends a request and disconnects, in the process or over loopback.

use std::{convert::Infallible, io, pin::pin, sync::Arc};

use axum::extract::Request;
use bytes::Bytes;
use http::Response;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};

use super::{
    client::Client,
    point::Disconnect,
    request::{Feed, in_pieces},
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
}

/// Sends one request to `service`, disconnects at the point, and waits until all work that follows through has
/// ended.
pub(super) async fn exchange<S, B>(
    service: S,
    request: http::Request<Bytes>,
    run: &Arc<Run>,
    lifecycle: Lifecycle,
    watchdog: &Watchdog,
) -> io::Result<Left>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data: Send + 'static, Error: Into<BoxError>> + Send + 'static,
{
    let watched = Watch::new(service, run.clone());
    let (head, body) = request.into_parts();
    let (feed, body) = in_pieces(body, run.point().entropy);
    watchdog.pet();
    if run.point().by == Disconnect::Drop {
        let service = lifecycle.layer().layer(watched);
        let request = Request::from_parts(head, axum::body::Body::new(body));
        let exchange = async {
            let Ok(response) = service.oneshot(request).await;
            run.answered(response.status());
            let mut body = pin!(response.into_body());
            while !body.is_end_stream() && body.frame().await.is_some_and(|frame| frame.is_ok()) {}
        };
        let end = until(exchange, feed, run, watchdog).await;
        lifecycle.shutdown();
        return Ok(Left { end, report: lifecycle.drained().await, noticed: true });
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let _ends = Ends(&lifecycle);
    let server = serve(listener, watched).lifecycle(lifecycle.clone()).into_future();
    let server = tokio::spawn(server);
    let mut client = Client::connect(address, run.point().by).await?;
    let request = http::Request::from_parts(head, body);
    let end = until(client.exchange(request, run), feed, run, watchdog).await;
    watchdog.pet();
    let _gone = client.leave().await;
    let noticed = tokio::select! {
        () = run.gone.notified() => true,
        () = watchdog.barked() => false,
    };
    lifecycle.shutdown();
    let report = server.await.map_err(io::Error::other)??;
    Ok(Left { end, report, noticed })
}

/// Shuts down the server of a run whose future is dropped.
struct Ends<'a>(&'a Lifecycle);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

/// Feeds the request body until the request is at its point, complete, or stuck, and then drops the exchange.
async fn until(
    exchange: impl Future<Output = ()>,
    mut feed: Feed,
    run: &Run,
    watchdog: &Watchdog,
) -> End {
    let mut exchange = pin!(exchange);
    loop {
        tokio::select! {
            biased;
            () = exchange.as_mut() => return End::Whole,
            () = run.reached.notified() => return End::Cut,
            () = run.suspended.notified() => feed.next(),
            () = watchdog.barked() => return End::Stuck,
        }
    }
}
