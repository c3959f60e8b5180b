//! A server of a recipe, on a free port of loopback.

use std::{fmt::Debug, net::SocketAddr};

use followthrough::{Lifecycle, LifecycleBuilder, ShutdownReport};
use followthrough_tests::soon;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// A running server.
#[derive(Debug)]
pub struct Running {
    /// The address that the server listens on.
    pub at: SocketAddr,
    /// The lifecycle of the server.
    pub lifecycle: Lifecycle,
    signal: Option<oneshot::Sender<()>>,
    server: JoinHandle<ShutdownReport>,
}

/// The signal that a recipe waits for.
#[derive(Debug)]
pub struct Signal(oneshot::Receiver<()>);

impl Signal {
    /// Waits until the signal comes.
    pub async fn comes(self) {
        if self.0.await.is_err() {
            // The test does not stop the server.
            std::future::pending::<()>().await;
        }
    }
}

impl Running {
    /// Starts the future that `serve` returns for a listener, a lifecycle from `builder`, and a
    /// signal.
    ///
    /// # Panics
    ///
    /// If the lifecycle cannot be built or no port can be bound.
    pub async fn with<F, E>(
        builder: LifecycleBuilder,
        serve: impl FnOnce(TcpListener, Lifecycle, Signal) -> F,
    ) -> Self
    where
        F: Future<Output = Result<ShutdownReport, E>> + Send + 'static,
        E: Debug + Send,
    {
        let lifecycle = builder.build().expect("the test's lifecycle is sound");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let at = listener.local_addr().expect("it is bound");
        let (signal, comes) = oneshot::channel();
        let serving = serve(listener, lifecycle.clone(), Signal(comes));
        let server = tokio::spawn(async { serving.await.expect("the server does not fail") });
        Self { at, lifecycle, signal: Some(signal), server }
    }

    /// Gives the signal.
    pub fn signal(&mut self) {
        self.signal.take().map(|signal| signal.send(()));
    }

    /// Gives the signal, unless the test has done so, and waits for the end.
    pub async fn stop(mut self) -> ShutdownReport {
        self.signal();
        self.ended().await
    }

    /// Waits for the end of a shutdown that has begun.
    ///
    /// # Panics
    ///
    /// If the server does not end soon, or returns an error.
    pub async fn ended(self) -> ShutdownReport {
        soon("the end of the server", self.server).await.expect("the server does not panic")
    }

    /// Returns whether the server has not ended.
    pub fn is_running(&self) -> bool {
        !self.server.is_finished()
    }

    /// Waits until the port refuses connections.
    pub async fn refuses(&self) {
        soon("the end of accepting", async {
            while tokio::net::TcpStream::connect(self.at).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
