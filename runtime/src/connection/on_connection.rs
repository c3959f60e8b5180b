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

    /// It is among those that are not answered, until [`answered`](Self::answered).
    #[inline]
    pub(crate) fn count(&self) {
        self.0.unanswered.fetch_add(1, Relaxed);
    }

    #[inline]
    pub(crate) fn answered(&self) {
        self.0.unanswered.fetch_sub(1, Relaxed);
    }

    /// Notes that the request is answered before the whole of its body has come.
    pub(crate) fn answered_early(&self) {
        self.0.answered_early();
    }

    /// Its response's body has given a frame to hyper.
    pub(crate) fn gave(&self) {
        if self.0.speaks_http2() {
            stall::body_gave();
        }
    }

    /// Fires `signal` when the connection is told that the service ends.
    pub(crate) fn register_stream_token(&self, signal: Signal) -> usize {
        lock(&self.0.streams).insert(signal)
    }

    /// There is nothing to fire any more.
    pub(crate) fn unregister_stream_token(&self, key: usize) {
        let signal = lock(&self.0.streams).try_remove(key);
        signal.into_iter().for_each(Signal::disarm);
    }

    /// A response of it ends before its end. Over HTTP/1.0 only a reset tells that from a whole one.
    pub(crate) fn response_cut_short(&self) {
        if self.0.protocol.is_http10() {
            self.0.socket().reset_on_close();
        }
    }

    /// Whether the end of the drain is what ends it.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.life.has_ended()
    }

    /// hyper has taken the answer, and the socket may not have.
    pub(crate) fn taken(&self, policy: Option<&'static HandlerPolicy>, since: Instant) {
        self.0.unsent.taken(policy, since);
    }

    /// The end of the drain takes it away.
    pub(crate) fn left(&self, work: InFlightWork) {
        self.0.left(work);
    }
}

impl Drop for OnConnection {
    fn drop(&mut self) {
        self.0.request_over();
    }
}
