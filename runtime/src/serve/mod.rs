//! A server whose end is bounded and whose requests are linked.

mod connection;
mod connections;
mod signals;

use std::{any::Any, convert::Infallible, io, pin::Pin, time::Duration};

use axum::extract::Request;
use http::Response;
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tower::{Layer, Service};

use self::connection::Executor;
pub(crate) use self::connections::Connections;
use crate::lifecycle::{BuildError, Lifecycle, LifecycleLayer, Phase, ShutdownReport};

/// After the end of the grace, how long the cut connections have to be gone.
const LAST: Duration = Duration::from_millis(500);
/// After an accept that failed for want of something, such as file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Serves `app` on `listener` over HTTP/1 and HTTP/2 (with prior knowledge) until a shutdown has
/// drained it, and gives the report of that.
///
/// `app` is an axum router, or any tower service from `Request<axum::body::Body>` to a response
/// that cannot fail; not a make-service, so there is no `ConnectInfo` yet.
///
/// SIGTERM or Ctrl-C begins the shutdown, unless
/// [`signals(false)`](crate::LifecycleBuilder::signals) says otherwise, and so does
/// [`Lifecycle::shutdown`]; a second signal skips to its end. It takes the lifecycle's
/// [grace](crate::LifecycleBuilder::grace) at most, 30 s by default, and half a second for what is
/// cut to be gone. A response body that is still being sent holds it that long, unless its handler
/// is `#[cancellable(stream)]`. The report is for you to print.
///
/// As under `axum::serve`, an idle connection may stay, and there is no time-out for a request's
/// head.
///
/// # Errors
///
/// If the listener has no address. A failed accept is logged, and the next one is tried.
///
/// # Cancel safety
///
/// Dropping the future stops accepting; connections that are open go on unwatched. Call
/// [`Lifecycle::shutdown`] instead.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// let app = axum::Router::new();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let report = followthrough::serve(listener, app).await?;
/// eprintln!("{report}");
/// report.exit()
/// # }
/// ```
pub fn serve<S, B>(listener: TcpListener, app: S) -> Serve<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    Serve { listener, app, lifecycle: None }
}

/// A server that [`serve`] describes; awaiting it runs it.
#[derive(Debug)]
#[must_use = "a server does nothing unless it is awaited"]
pub struct Serve<S> {
    listener: TcpListener,
    app: S,
    lifecycle: Option<Lifecycle>,
}

impl<S> Serve<S> {
    /// Links the server to `lifecycle`. Default: one with default settings.
    pub fn lifecycle(mut self, lifecycle: Lifecycle) -> Self {
        self.lifecycle = Some(lifecycle);
        self
    }
}

impl<S, B> IntoFuture for Serve<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    type Output = io::Result<ShutdownReport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run(self))
    }
}

async fn run<S, B>(serve: Serve<S>) -> io::Result<ShutdownReport>
where
    S: Service<Request, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let Serve { listener, app, lifecycle } = serve;
    let lifecycle = match lifecycle {
        Some(lifecycle) => lifecycle,
        None => {
            Lifecycle::builder().build().map_err(|error: BuildError| io::Error::other(error))?
        }
    };
    listener.local_addr()?;
    let life = lifecycle.life.clone();
    life.remember_runtime();
    let app = LifecycleLayer::by_connection(life.clone()).layer(ready_made(app));
    let _signals = lifecycle.listens_for_signals().then(|| signals::listen(lifecycle.clone()));
    let half_close = lifecycle.allows_half_close();
    let closing = life.reached(Phase::Closing);
    let mut closing = std::pin::pin!(closing);
    loop {
        tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    connection::spawn(&life, |executor| builder(executor, half_close), stream, app.clone());
                }
                Err(error) => accept_failed(&error).await,
            },
        }
    }
    drop(listener);
    let report = lifecycle.drained().await;
    let gone = async {
        while !life.connections.is_empty() {
            life.connections.one_gone().await;
        }
    };
    let _ = tokio::time::timeout(LAST, gone).await;
    Ok(report)
}

/// A router without state makes its routes anew at every call until it is given its `()`.
fn ready_made<S: 'static>(mut app: S) -> S {
    if let Some(router) = (&mut app as &mut dyn Any).downcast_mut::<axum::Router>() {
        *router = std::mem::take(router).with_state(());
    }
    app
}

fn builder(executor: Executor, half_close: bool) -> auto::Builder<Executor> {
    let mut builder = auto::Builder::new(executor);
    builder.http1().half_close(half_close);
    builder
}

async fn accept_failed(error: &io::Error) {
    let of_the_peer = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    );
    if !of_the_peer {
        tracing::error!(target: "followthrough", %error, "cannot accept a connection; trying again");
        tokio::time::sleep(BACK_OFF).await;
    }
}
