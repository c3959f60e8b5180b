//! A server on a free port of loopback.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
    time::Duration,
};

use axum::Router;
use followthrough::{
    Idempotency, Lifecycle, LifecycleBuilder, Scope, Serve, ShutdownReport,
    idempotency::MemoryStore,
};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

use crate::SOON;

/// Returns the builder of a lifecycle for tests: a short grace, no handling of the test runner's
/// signals, and an empty store of idempotency keys, for programs in which any handler takes keys.
pub fn lifecycle() -> LifecycleBuilder {
    let keys = Idempotency::new(MemoryStore::new(), Scope::global("each test has one client"));
    let short = Lifecycle::builder().grace(Duration::from_secs(4)).read_grace(Duration::ZERO);
    short.signals(false).idempotency(keys)
}

/// Serves `app` with the settings of `set` for as long as the test runs.
///
/// # Panics
///
/// If no port can be bound.
pub async fn serve_as(app: Router, set: impl FnOnce(Serve) -> Serve) -> (SocketAddr, Lifecycle) {
    let lifecycle = lifecycle().build().expect("the test's lifecycle is sound");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let at = listener.local_addr().expect("it is bound");
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    drop(tokio::spawn(set(serve).into_future()));
    (at, lifecycle)
}

/// Returns a free port of loopback, outside of the range of ephemeral ports, for a server in a process of its own.
///
/// # Panics
///
/// If no port is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other test binaries search at the same time, so each begins elsewhere.
    let start = u16::try_from(std::process::id() % 10_000).expect("it is below 10,000");
    let mut ports =
        (0..10_000).map(|_| 20_000 + (start + NEXT.fetch_add(1, Relaxed) % 10_000) % 10_000);
    let free = |port: &u16| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(free).expect("some port is free")
}

/// A router under `followthrough::serve`.
#[derive(Debug)]
pub struct Server {
    /// The address that the server listens on.
    pub at: SocketAddr,
    /// The lifecycle of the server.
    pub lifecycle: Lifecycle,
    task: JoinHandle<std::io::Result<ShutdownReport>>,
}

impl Server {
    /// Starts with a test lifecycle.
    pub async fn start(app: Router) -> Self {
        Self::with(lifecycle(), app).await
    }

    /// Starts with a lifecycle from `builder`.
    ///
    /// # Panics
    ///
    /// If the lifecycle cannot be built or no port can be bound.
    pub async fn with(builder: LifecycleBuilder, app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        Self::on(listener, builder, app)
    }

    /// Starts with a lifecycle from `builder`, on `listener`.
    ///
    /// # Panics
    ///
    /// If the lifecycle cannot be built.
    pub fn on(listener: TcpListener, builder: LifecycleBuilder, app: Router) -> Self {
        let lifecycle = builder.build().expect("the test's lifecycle is sound");
        let at = listener.local_addr().expect("it is bound");
        let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
        Self { at, lifecycle, task: tokio::spawn(serve.into_future()) }
    }

    /// Begins the shutdown and waits for its end.
    pub async fn stop(self) -> ShutdownReport {
        self.lifecycle.shutdown();
        self.ended().await
    }

    /// Waits for the end of a shutdown that has begun.
    ///
    /// # Panics
    ///
    /// If the server does not end soon, or returns an error.
    pub async fn ended(self) -> ShutdownReport {
        self.ended_within(SOON).await
    }

    /// Waits for the end of a shutdown for at most `most`.
    ///
    /// # Panics
    ///
    /// If the shutdown takes longer, or returns an error.
    pub async fn ended_within(self, most: Duration) -> ShutdownReport {
        let ended = timeout(most, self.task).await;
        let ended = ended.unwrap_or_else(|_| panic!("the server did not end within {most:?}"));
        ended.expect("the server does not panic").expect("the listener holds")
    }
}
