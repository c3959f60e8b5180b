//! SIGTERM and Ctrl-C.

use tokio::task::JoinHandle;

use crate::lifecycle::Lifecycle;

/// Listens until it is dropped.
pub(super) struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The first signal begins the shutdown, the second one skips to its end.
pub(super) fn listen(lifecycle: Lifecycle) -> Listening {
    Listening(tokio::spawn(async move {
        if let Err(error) = signals(&lifecycle).await {
            tracing::error!(
                target: "followthrough",
                %error,
                "cannot listen for SIGTERM and Ctrl-C; only `Lifecycle::shutdown` ends this service"
            );
        }
    }))
}

#[cfg(unix)]
async fn signals(lifecycle: &Lifecycle) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut first = true;
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        act(lifecycle, &mut first);
    }
}

#[cfg(not(unix))]
async fn signals(lifecycle: &Lifecycle) -> std::io::Result<()> {
    let mut first = true;
    loop {
        tokio::signal::ctrl_c().await?;
        act(lifecycle, &mut first);
    }
}

fn act(lifecycle: &Lifecycle, first: &mut bool) {
    if std::mem::take(first) {
        lifecycle.shutdown();
    } else {
        tracing::warn!(target: "followthrough", "second signal: skipping to the end");
        lifecycle.shutdown_now();
    }
}
