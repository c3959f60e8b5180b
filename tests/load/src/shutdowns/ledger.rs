//! The clients' records: one entry for each request.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use fastrand::Rng;
use serde::Deserialize;

use super::plan::Write;

/// The entry of a request.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) write: Write,
    /// Whether its last byte was sent, or could not be taken back.
    pub(super) whole: bool,
    pub(super) end: End,
}

/// The end of a request for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client left in one of the ways.
    HungUp,
    /// A whole response came.
    Answered(Answer),
    /// The client waited, and the server ended the connection or the stream.
    Lost { reason: String, before_signal: bool },
}

/// The part of a response that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) before_signal: bool,
    pub(super) said: Said,
}

/// The body of a response: the row that was written, or the reason of a refusal.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) id: Option<i64>,
    pub(super) cause: Option<String>,
}

/// The requests of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Mutex<Vec<Entry>>,
    strange: Mutex<Vec<String>>,
    transfers: AtomicUsize,
    signalled: AtomicBool,
}

/// A running request. If it is dropped before its end is recorded, its client has hung up.
pub(super) struct Call<'a> {
    ledger: &'a Ledger,
    number: usize,
}

impl Ledger {
    /// Begins a request of a kind that `random` picks.
    pub(super) fn begin(&self, random: &mut Rng) -> (Call<'_>, Write) {
        let mut entries = lock(&self.entries);
        let number = entries.len();
        let write = if random.u8(..5) < 3 {
            Write::order(random, number)
        } else {
            Write::transfer(self.transfers.fetch_add(1, Ordering::Relaxed))
        };
        entries.push(Entry { write: write.clone(), whole: false, end: End::HungUp });
        (Call { ledger: self, number }, write)
    }

    /// Records that the signal is about to be sent.
    pub(super) fn signal(&self) {
        self.signalled.store(true, Ordering::SeqCst);
    }

    fn before_signal(&self) -> bool {
        !self.signalled.load(Ordering::SeqCst)
    }

    /// Records a failed connection, by which a client learns of the end.
    pub(super) fn no_connection(&self, reason: &impl ToString) {
        if self.before_signal() {
            let reason = reason.to_string();
            lock(&self.strange).push(format!("no connection before the signal: {reason}"));
        }
    }

    /// Returns all requests, and the faults of connections.
    pub(super) fn close(&self) -> (Vec<Entry>, Vec<String>) {
        (std::mem::take(&mut *lock(&self.entries)), std::mem::take(&mut *lock(&self.strange)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Call<'_> {
    /// Records that the whole request is about to be sent, so that the server may act on it from
    /// here on.
    pub(super) fn whole(&self) {
        lock(&self.ledger.entries)[self.number].whole = true;
    }

    pub(super) fn answered(self, status: u16, body: &str) {
        let said = serde_json::from_str(body).unwrap_or_default();
        let before_signal = self.ledger.before_signal();
        self.ends(End::Answered(Answer { status, before_signal, said }));
    }

    pub(super) fn lost(self, reason: &impl ToString) {
        let before_signal = self.ledger.before_signal();
        self.ends(End::Lost { reason: reason.to_string(), before_signal });
    }

    fn ends(self, end: End) {
        lock(&self.ledger.entries)[self.number].end = end;
    }
}
