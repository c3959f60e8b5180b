//! A server whose end is bounded and whose requests are linked.

mod accept;
mod accepted;
mod app;
mod driver;
mod executor;
mod frames;
mod linger;
mod listener;
mod requests;
mod settings;
mod several;
mod signals;
mod stream;
mod sweep;
#[cfg(unix)]
mod unix_peer;

use std::{fmt, io, pin::Pin, sync::Arc};

#[cfg(unix)]
pub use self::unix_peer::UnixPeer;
pub use self::{
    accepted::{Accepted, HandshakeIo},
    app::App,
    listener::{Listener, MapListener},
};
use self::{driver::Server, settings::Settings};
use crate::{
    lifecycle::{BuildError, Lifecycle},
    service::{ServiceState, ShutdownReport},
};

/// Serves `app` on `listener` over HTTP/1 and HTTP/2 (with prior knowledge, or over TLS by ALPN)
/// until a shutdown has drained it, and gives the report of that.
///
/// `listener` is a TCP or a Unix one, several of them, or one of your own: see [`Listener`]. `app`
/// is an axum router, what `into_make_service_with_connect_info` makes of it (without that, a
/// `ConnectInfo` extractor answers 500, "missing request extension"), or a tower service like it: see
/// [`App`].
///
/// SIGTERM or Ctrl-C begins the shutdown, unless
/// [`signals(false)`](crate::LifecycleBuilder::signals) says otherwise, and so does
/// [`Lifecycle::shutdown`]; a second signal skips to its end. Signals within half a second of the
/// first are the same one: a terminal and the process that started this one may both send it. The shutdown takes the lifecycle's
/// [grace](crate::LifecycleBuilder::grace) at most, 30 s by default, and half a second for what is
/// cut to be gone, whatever a peer does. A response body that is still being sent holds it that
/// long, unless its handler is `#[cancellable(stream)]`. The report is for you to print, and the
/// process for you to end: once a process has listened for a signal, that signal alone does not end
/// it any more.
///
/// # Handlers that block
///
/// A thread named `followthrough` hears the signals and watches the shutdown. Handlers that block every
/// worker thread, with [`std::thread::sleep`] say, keep neither a signal nor the end from being heard:
/// the thread advances the shutdown in their place, logs an ERROR with the `file:line` of each governed
/// handler that blocks, cuts the connections at the end of the grace and writes the report, which names
/// them in [`blocked`](crate::ShutdownReport::blocked). Without
/// [`signals`](crate::LifecycleBuilder::signals) the thread starts with the shutdown. It ends with the server.
///
/// `serve` can return only on the thread that awaits it. Await it in `main` on a multi-thread runtime:
/// that thread is no worker, and no handler runs there. In a runtime of one thread, or in a task, a
/// handler that blocks this very thread holds `serve` until it lets go; an ERROR says so a second
/// after the end, the connections are closed by then, and `serve` returns as soon as the thread is free.
/// Where that may be never, only a SIGKILL ends the process, as Kubernetes sends one.
///
/// A client that leaves is noticed within 100 ms, also behind a pipelined request or an unread
/// request body. One that closes only its sending half has left, unless
/// [`half_close(true)`](crate::LifecycleBuilder::half_close) says otherwise.
///
/// An HTTP/1 answer that comes before the whole of its request's body says `Connection: close` if
/// the connection ends with it. What the client still sends is then read and discarded, until the
/// client closes its side, for at most 2 s and 64 MiB: closing a socket with unread bytes would
/// reset it, and the answer could be lost.
///
/// # Errors
///
/// At once, if a setting cannot be, if the listener has no address, or if the lifecycle serves
/// already or has ended: a lifecycle is the life of one server. A failed accept is logged, and the
/// next one is tried.
///
/// # Cancel safety
///
/// Dropping the future stops accepting; connections that are open go on without a time-out for
/// their heads. Call [`Lifecycle::shutdown`] instead.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// use std::time::Duration;
///
/// let app = axum::Router::new();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let report = followthrough::serve(listener, app)
///     .header_read_timeout(Duration::from_secs(10))
///     .http2_max_concurrent_streams(100)
///     .await?;
/// eprintln!("{report}");
/// report.exit()
/// # }
/// ```
pub fn serve<L, A, K>(listener: L, app: A) -> Serve
where
    L: Listener,
    A: App<L::Peer, K>,
    K: 'static,
{
    let run = |options| -> Running { Box::pin(run(listener, app, options)) };
    Serve { run: Box::new(run), options: Options::default() }
}

type Running = Pin<Box<dyn Future<Output = io::Result<ShutdownReport>> + Send>>;

/// A server that [`serve`] describes; awaiting it runs it.
#[must_use = "a server does nothing unless it is awaited"]
pub struct Serve {
    run: Box<dyn FnOnce(Options) -> Running + Send>,
    options: Options,
}

#[derive(Debug, Default)]
struct Options {
    lifecycle: Option<Lifecycle>,
    settings: Settings,
    #[cfg(feature = "tls")]
    tls: Option<Arc<tokio_rustls::rustls::ServerConfig>>,
}

impl Serve {
    /// Links the server to `lifecycle`. Without it the server has one of its own with default
    /// settings, and `readiness()`, `spawn(..)` and `shutdown()` of yours do nothing to it.
    pub fn lifecycle(mut self, lifecycle: Lifecycle) -> Self {
        self.options.lifecycle = Some(lifecycle);
        self
    }

    /// Serves over TLS, and nothing in the clear. With the feature `tls`, and a cryptography for
    /// rustls of your choice: `cargo add rustls --no-default-features --features std,ring`.
    /// Where `config` names no protocols for ALPN,
    /// HTTP/2 and HTTP/1.1 are offered. The handshake has to end within the
    /// [`header_read_timeout`](Self::header_read_timeout).
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use rustls::{ServerConfig, pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject}};
    ///
    /// let certificates = CertificateDer::pem_file_iter("cert.pem")?.collect::<Result<_, _>>()?;
    /// let key = PrivateKeyDer::from_pem_file("key.pem")?;
    /// let config = ServerConfig::builder()
    ///     .with_no_client_auth()
    ///     .with_single_cert(certificates, key)?;
    ///
    /// let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
    /// let report = followthrough::serve(listener, axum::Router::new()).tls(config).await?;
    /// report.exit()
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: impl Into<Arc<tokio_rustls::rustls::ServerConfig>>) -> Self {
        let mut config = config.into();
        if config.alpn_protocols.is_empty() {
            let offered = &mut Arc::make_mut(&mut config).alpn_protocols;
            *offered = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        self.options.tls = Some(config);
        self
    }
}

impl IntoFuture for Serve {
    type Output = io::Result<ShutdownReport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        (self.run)(self.options)
    }
}

async fn run<L, A, K>(mut listener: L, mut app: A, options: Options) -> io::Result<ShutdownReport>
where
    L: Listener,
    A: App<L::Peer, K>,
    K: 'static,
{
    let Options { lifecycle, settings, .. } = options;
    settings.check()?;
    let lifecycle = if let Some(lifecycle) = lifecycle {
        lifecycle
    } else {
        ServiceState::forgotten();
        Lifecycle::builder().build().map_err(|error: BuildError| io::Error::other(error))?
    };
    lifecycle.life.link();
    let life = lifecycle.life.clone();
    let name = listener.name()?;
    life.begin_serving(name.clone())?;
    let _serving = Serving(life.clone());
    let accepting = Accepting(life.clone());
    life.remember_runtime();
    app.prepare();
    if life.listens_for_signals() {
        signals::listen(&lifecycle);
    }
    life.watch_late();
    let _sweeping = sweep::sweep(&life, settings);
    let half_close = life.allows_half_close();
    let mut server = Server {
        life: life.clone(),
        app,
        settings,
        half_close,
        uploads: Arc::default(),
        #[cfg(feature = "tls")]
        tls: options.tls.map(tokio_rustls::TlsAcceptor::from),
    };
    accept::accept(&mut listener, &name, &mut server).await;
    drop((listener, server));
    drop(accepting);
    Ok(lifecycle.drained().await)
}

/// While it is there, signals are heard, and the end is watched.
struct Serving(Arc<ServiceState>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.ended_serving();
    }
}

/// While it is there, the drain waits for connections to come.
struct Accepting(Arc<ServiceState>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.stopped_accepting();
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("options", &self.options).finish_non_exhaustive()
    }
}
