//! The one server that a lifecycle has, from its begin to its end.

use std::io;

use super::ServiceState;

impl ServiceState {
    /// Notes the server that begins at `place`.
    ///
    /// # Errors
    ///
    /// If the lifecycle has ended, or has a server already.
    pub(crate) fn begin_serving(&self, place: String) -> io::Result<()> {
        let refused = |why: String| Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        if self.has_ended() {
            return refused(format!(
                "this lifecycle has ended, so nothing can be served at {place}: build another one \
                 with `Lifecycle::builder()`"
            ));
        }
        match self.serving.set(place) {
            Ok(()) => {
                self.drain_state.begin_accepting();
                Ok(())
            }
            Err(place) => refused(format!(
                "this lifecycle serves at {} already, so it cannot serve at {place}: give the \
                 second server a lifecycle of its own, or serve both routers on one listener",
                self.serving.get().map_or("another place", String::as_str)
            )),
        }
    }

    /// Returns whether a server uses it, or did.
    pub(crate) fn is_served(&self) -> bool {
        self.serving.get().is_some()
    }

    /// Returns whether the server of [`begin_serving`](Self::begin_serving) is running.
    pub(crate) fn is_serving(&self) -> bool {
        self.is_served() && !self.served.is_cancelled()
    }

    /// Waits until the server is gone.
    pub(crate) async fn until_served(&self) {
        self.served.cancelled().await;
    }

    /// Notes that the server is gone.
    pub(crate) fn ended_serving(&self) {
        self.served.cancel();
    }

    /// Notes that the server accepts no more connections.
    pub(crate) fn stopped_accepting(&self) {
        self.drain_state.stop_accepting();
    }
}
