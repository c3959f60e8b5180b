//! SIGTERM and Ctrl-C.

use tokio::task::JoinHandle;

use crate::lifecycle::Lifecycle;

/// Listens until it is dropped.
pub(super) struct Listening(Option<JoinHandle<()>>);

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// From here on, the first signal begins the shutdown and the second one skips to its end.
pub(super) fn listen(lifecycle: Lifecycle) -> Listening {
    // Before the task runs for the first time, so that no signal ends the process meanwhile.
    let mut signals = match Signals::register() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(
                target: "followthrough",
                %error,
                "cannot listen for SIGTERM and Ctrl-C; only `Lifecycle::shutdown` ends this service"
            );
            return Listening(None);
        }
    };
    Listening(Some(tokio::spawn(async move {
        signals.next().await;
        lifecycle.shutdown();
        signals.next().await;
        tracing::warn!(target: "followthrough", "second signal: skipping to the end");
        lifecycle.shutdown_now();
        // A third one is not to end the process before the report is there.
        loop {
            signals.next().await;
        }
    })))
}

#[cfg(unix)]
struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn register() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn register() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        let _ = self.0.recv().await;
    }
}
