//! The HTTP server: its shutdown is bounded, and its requests are linked to a [`Lifecycle`].

mod accept;
mod accepted;
mod app;
mod driver;
mod executor;
mod frames;
#[cfg(feature = "http2")]
mod http2;
#[cfg(not(feature = "http2"))]
#[path = "no_http2.rs"]
mod http2;
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

/// Serves `app` on `listener` over HTTP/1 and HTTP/2 (with prior knowledge, or over TLS by ALPN) until a shutdown
/// has drained it. Returns the report of the shutdown. Without the feature `http2`, which is on by default, the
/// server speaks HTTP/1 only and answers a client with prior knowledge of HTTP/2 with 400 over HTTP/1.
///
/// `listener` is a TCP or Unix listener, several of them, or your own type: see [`Listener`]. `app` is an axum
/// router, the result of its `into_make_service_with_connect_info` (without that, a `ConnectInfo` extractor
/// answers 500, "missing request extension"), or a similar tower service: see [`App`].
///
/// SIGTERM, Ctrl-C (both unless [`signals(false)`](crate::LifecycleBuilder::signals) is set) or
/// [`Lifecycle::shutdown`] begins the shutdown; a second signal skips to its end. Signals within half a second of
/// the first count as the same signal, because a terminal and the parent process may both send it.
///
/// The shutdown takes at most the lifecycle's [grace](crate::LifecycleBuilder::grace), 30 s by default, and half a
/// second for the tasks that it cuts, whatever a peer does. A response body that is still being sent holds up the
/// shutdown until then, unless its handler is `#[cancellable(stream)]`. Print the report and end the process
/// yourself: once a process has listened for a signal, that signal no longer ends it.
///
/// # Handlers that block
///
/// A thread named `followthrough` listens for the signals and watches the shutdown. If handlers block every worker
/// thread, with [`std::thread::sleep`] for example, the thread advances the shutdown, logs an ERROR with the
/// `file:line` of each governed handler that blocks, cuts the connections at the end of the grace, and writes the
/// report, which lists these handlers in [`blocked`](crate::ShutdownReport::blocked). Without
/// [`signals`](crate::LifecycleBuilder::signals) the thread starts with the shutdown. The thread ends with the
/// server.
///
/// `serve` can return only on the thread that awaits it. Await it in `main` on a multi-thread runtime, because no
/// handler runs on that thread. On a current-thread runtime, or in a task, a handler that blocks the same thread
/// also blocks the return of `serve`. By then the connections are closed, an ERROR is logged one second after the
/// end, and `serve` returns as soon as the thread is free. If the handler never returns, only a SIGKILL ends the
/// process, as Kubernetes sends one.
///
/// A disconnect is noticed within 100 ms, also behind a pipelined request or an unread request body. A client that
/// closes only its sending half counts as disconnected, unless
/// [`half_close(true)`](crate::LifecycleBuilder::half_close) is set.
///
/// An HTTP/1 response that is sent before the whole request body has arrived has `Connection: close` if the
/// connection ends with it. The server then reads and discards further bytes until the client closes its side, for
/// at most 2 s and 64 MiB, because closing a socket with unread bytes resets it, and the client could lose the
/// response.
///
/// # Errors
///
/// Returns an error at once if a setting is invalid, if the listener has no address, or if the lifecycle already
/// serves or has ended, because a lifecycle belongs to one server. A failed accept is logged and retried.
///
/// # Cancel safety
///
/// Dropping the future stops accepting; open connections continue without the
/// timeouts for heads, idle connections and writes. Call
/// [`Lifecycle::shutdown`] instead.
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
///     .max_connections(10_000)
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

/// A server that [`serve`] has configured; awaiting it runs it.
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
    /// Links the server to `lifecycle`. Without this call the server builds its own lifecycle with default
    /// settings, and `readiness()`, `spawn(..)` and `shutdown()` of your lifecycle do not affect the server.
    pub fn lifecycle(mut self, lifecycle: Lifecycle) -> Self {
        self.options.lifecycle = Some(lifecycle);
        self
    }

    /// Serves over TLS only. Needs the feature `tls`, and a crypto provider for rustls: `cargo add rustls
    /// --no-default-features --features std,ring`. If `config` lists no ALPN protocols, HTTP/2 (with the feature
    /// `http2`) and HTTP/1.1 are offered. Without that feature, `h2` is removed from the list. The handshake has to end within the
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
        let is_spoken = |name: &Vec<u8>| http2::SPOKEN || name != b"h2";
        if !config.alpn_protocols.iter().all(is_spoken) {
            Arc::make_mut(&mut config).alpn_protocols.retain(is_spoken);
        }
        if config.alpn_protocols.is_empty() {
            let offered = &mut Arc::make_mut(&mut config).alpn_protocols;
            *offered = http2::ALPN.iter().map(|name| name.to_vec()).collect();
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
        ServiceState::warn_unused();
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

/// Keeps the signal thread and the watch of the shutdown alive.
struct Serving(Arc<ServiceState>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.ended_serving();
    }
}

/// Keeps the drain waiting for connections that are still accepted.
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
