//! A request on its connection, from its head to the end of its response's body.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use http::Version;
use tokio::time::Instant;

use super::{open::Connection, stall};
use crate::{
    alarm::Alarms,
    cancellation::Signal,
    handler_policy::HandlerPolicy,
    service::{InFlightWork, ServiceState, lock},
};

/// A request on its connection, from its head to the end of its response's body.
pub(crate) struct OnConnection(Arc<Connection>);

impl OnConnection {
    #[inline]
    pub(crate) fn begin(connection: &Arc<Connection>, version: Version) -> Self {
        connection.protocol.note_head(version);
        connection.request_came();
        Self(connection.clone())
    }

    pub(crate) const fn connection(&self) -> &Arc<Connection> {
        &self.0
    }

    #[inline]
    pub(crate) fn life(&self) -> &Arc<ServiceState> {
        self.0.life()
    }

    pub(crate) fn alarms(&self) -> &Alarms {
        &self.0.alarms
    }

    /// Counts the request as unanswered, until [`answered`](Self::answered).
    #[inline]
    pub(crate) fn count(&self) {
        self.0.unanswered.fetch_add(1, Relaxed);
    }

    #[inline]
    pub(crate) fn answered(&self) {
        self.0.unanswered.fetch_sub(1, Relaxed);
    }

    /// Notes that the request is answered before its whole body has come.
    pub(crate) fn answered_early(&self) {
        self.0.answered_early();
    }

    /// Notes that the response body has given a frame to hyper.
    pub(crate) fn gave(&self) {
        if self.0.speaks_http2() {
            stall::body_gave();
        }
    }

    /// Registers `signal`, to be fired when the connection is told to shut down. Returns the key for
    /// [`unregister_stream_token`](Self::unregister_stream_token).
    pub(crate) fn register_stream_token(&self, signal: Signal) -> usize {
        lock(&self.0.streams).insert(signal)
    }

    /// Removes the signal without firing it.
    pub(crate) fn unregister_stream_token(&self, key: usize) {
        let signal = lock(&self.0.streams).try_remove(key);
        signal.into_iter().for_each(Signal::disarm);
    }

    /// Notes that the response is cut short. Over HTTP/1.0 only a reset shows that to the client.
    pub(crate) fn response_cut_short(&self) {
        if self.0.protocol.is_http10() {
            self.0.socket().reset_on_close();
        }
    }

    /// Returns whether the end of the drain cuts it.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.life.has_ended()
    }

    /// Notes that hyper has taken the answer; the socket may not have.
    pub(crate) fn taken(&self, policy: Option<&'static HandlerPolicy>, since: Instant) {
        self.0.unsent.taken(policy, since);
    }

    /// Notes that the end of the drain cuts it.
    pub(crate) fn left(&self, work: InFlightWork) {
        self.0.left(work);
    }
}

impl Drop for OnConnection {
    fn drop(&mut self) {
        self.0.request_over();
    }
}
