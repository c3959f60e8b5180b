//! A client that writes on the same route and waits for its responses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::Failure;
use crate::http1::{Answer, Connection, request};

/// The limit on the time of every response.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The pause between two writes.
const PAUSE: Duration = Duration::from_millis(4);

/// The number of patient clients.
const CLIENTS: usize = 4;

/// A group of clients with numbers of their own.
#[derive(Clone)]
pub(super) struct Patient {
    pub(super) at: SocketAddr,
    /// The next number, and the end of the numbers.
    pub(super) next: Arc<AtomicUsize>,
    pub(super) end: usize,
}

impl Patient {
    /// Writes until the flood is over. Returns all responses by their number.
    pub(super) async fn write_until(
        self,
        running: watch::Receiver<()>,
    ) -> Result<Vec<(usize, Answer)>, Failure> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(self.clone().write_one_by_one(running.clone())))
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.await??);
        }
        Ok(all)
    }

    async fn write_one_by_one(
        self,
        running: watch::Receiver<()>,
    ) -> Result<Vec<(usize, Answer)>, Failure> {
        let mut connection = Connection::open(self.at).await?;
        let mut all = Vec::new();
        // The sender is dropped when the flood is over.
        while running.has_changed().is_ok() && self.next.load(SeqCst) < self.end - CLIENTS {
            all.push(self.write(&mut connection).await?);
            sleep(PAUSE).await;
        }
        Ok(all)
    }

    /// Sends one write on a connection of its own.
    pub(super) async fn write_once(&self) -> Result<(usize, Answer), Failure> {
        self.write(&mut Connection::open(self.at).await?).await
    }

    async fn write(&self, connection: &mut Connection) -> Result<(usize, Answer), Failure> {
        let id = self.next.fetch_add(1, SeqCst);
        let call = request("POST", &format!("/writes/{id}"), "", "");
        let answer = timeout(PATIENCE, connection.call(&call)).await;
        Ok((id, answer.map_err(|_| format!("no answer to write {id} within {PATIENCE:?}"))??))
    }
}
