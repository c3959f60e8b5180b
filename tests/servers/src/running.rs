//! A server of a recipe, on a free port of loopback.

use std::{fmt::Debug, net::SocketAddr};

use followthrough::{Lifecycle, LifecycleBuilder, ShutdownReport};
use followthrough_tests::soon;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub at: SocketAddr,
    /// What it is linked to.
    pub lifecycle: Lifecycle,
    signal: Option<oneshot::Sender<()>>,
    server: JoinHandle<ShutdownReport>,
}

/// What a recipe waits for.
#[derive(Debug)]
pub struct Signal(oneshot::Receiver<()>);

impl Signal {
    /// Ends when the signal comes.
    pub async fn comes(self) {
        if self.0.await.is_err() {
            // The test does not mean to stop it.
            std::future::pending::<()>().await;
        }
    }
}

impl Running {
    /// Starts what `serve` makes of a listener, of what `builder` builds, and of a signal.
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

    /// Gives the signal, if that was not done, and waits for the end.
    pub async fn stop(mut self) -> ShutdownReport {
        self.signal();
        self.ended().await
    }

    /// Waits for the end of a shutdown that has begun.
    ///
    /// # Panics
    ///
    /// If it does not end, or ends in an error.
    pub async fn ended(self) -> ShutdownReport {
        soon("the end of the server", self.server).await.expect("the server does not panic")
    }

    /// Whether it has not come to its end.
    pub fn is_running(&self) -> bool {
        !self.server.is_finished()
    }

    /// Waits until nobody listens any more.
    pub async fn refuses(&self) {
        soon("the end of accepting", async {
            while tokio::net::TcpStream::connect(self.at).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
