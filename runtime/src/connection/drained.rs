//! A connection as the sweep and the drain of its service see it.

use std::sync::atomic::Ordering::Relaxed;

use super::{open::Connection, silence};
use crate::{
    escaped::Escaped,
    service::{
        ConnectionCut, ConnectionState, InFlightWork, OpenConnection, SilenceLimits, WorkKind,
    },
};

impl OpenConnection for Connection {
    fn wake(&self) {
        self.wakers.wake();
    }

    fn unanswered(&self) -> usize {
        self.unanswered.load(Relaxed)
    }

    fn shut(&self) {
        self.socket.cut();
    }

    fn sweep(&self, limits: &SilenceLimits) {
        silence::sweep(self, limits);
    }

    fn describe(&self) -> ConnectionCut {
        let mut requests = self.unsent.left();
        let mut state = self.state();
        // Over HTTP/2, the count of unfinished answers tells whether all of them have gone out.
        let sent = self.speaks_http2() && self.open_streams.have_ended();
        if requests.is_empty() && state == ConnectionState::Upgraded {
            requests.push(InFlightWork::cut(None, WorkKind::Upgraded, self.since));
        } else if requests.is_empty() && !sent {
            if let Some(answer) = self.unsent.answer() {
                requests.push(answer);
                state = ConnectionState::Answering;
            }
        }
        ConnectionCut {
            peer: Escaped(self.peer()).to_string(),
            protocol: self.protocol.name(),
            state,
            age: self.since.elapsed(),
            requests,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let cut = self.life.has_ended().then(|| self.describe());
        if self.life.connections.leave(self.key, cut) {
            self.life.note_progress();
        }
    }
}
