//! A table in memory, by the clock of tokio, and a publisher that the tests answer for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, timeout},
};

use crate::{
    Backlog, Message, MessageId, Outbox, Parked, PublishError, Publisher, StoredMessage,
    outbox::{Ask, Run, Settlements, sealed::Table},
};

#[derive(Clone, Debug)]
pub(super) struct Row {
    message: Message,
    due: Instant,
    leased_by: Option<String>,
    pub(super) attempts: u32,
    pub(super) parked: Option<String>,
    in_line: bool,
    pub(super) sent: bool,
}

/// The table. A clone is the same one.
#[derive(Clone, Default)]
pub(super) struct MemoryTable(Arc<Shared>);

#[derive(Default)]
struct Shared {
    rows: Mutex<BTreeMap<i64, Row>>,
    committed: Notify,
    /// Whether each statement fails.
    is_down: Mutex<bool>,
    /// How long a lease takes.
    slowness: Mutex<Duration>,
    pub(super) looks: Mutex<Vec<Instant>>,
}

impl MemoryTable {
    pub(super) fn rows(&self) -> MutexGuard<'_, BTreeMap<i64, Row>> {
        self.0.rows.lock().expect("no test panics with it")
    }

    pub(super) fn commit(&self, key: Option<&str>) -> i64 {
        let number = {
            let mut rows = self.rows();
            let number = rows.keys().max().unwrap_or(&0) + 1;
            let mut message = Message::new("topic", number.to_string());
            message.key = key.map(str::to_owned);
            let row = Row {
                message,
                due: Instant::now(),
                leased_by: None,
                attempts: 0,
                parked: None,
                in_line: true,
                sent: false,
            };
            rows.insert(number, row);
            number
        };
        self.0.committed.notify_waiters();
        number
    }

    pub(super) fn set_down(&self, is_down: bool) {
        *self.0.is_down.lock().unwrap() = is_down;
    }

    pub(super) fn set_slowness(&self, slowness: Duration) {
        *self.0.slowness.lock().unwrap() = slowness;
    }

    pub(super) fn looks(&self) -> usize {
        self.0.looks.lock().unwrap().len()
    }

    pub(super) fn sent(&self) -> Vec<i64> {
        self.rows().iter().filter(|(_, row)| row.sent).map(|(number, _)| *number).collect()
    }

    pub(super) fn leased(&self) -> usize {
        self.rows().values().filter(|row| row.leased_by.is_some()).count()
    }

    fn answer(&self) -> Result<MutexGuard<'_, BTreeMap<i64, Row>>, sqlx::Error> {
        if *self.0.is_down.lock().unwrap() {
            return Err(sqlx::Error::PoolTimedOut);
        }
        Ok(self.rows())
    }
}

fn stored(number: i64, row: &Row, attempt: u32) -> StoredMessage {
    let Message { topic, key, headers, payload } = row.message.clone();
    let id = MessageId::new(number.to_string());
    StoredMessage { number, id, topic, key, headers, payload, attempt }
}

impl Table for MemoryTable {
    async fn lease(&self, ask: &Ask) -> Result<Vec<Run>, sqlx::Error> {
        self.0.looks.lock().unwrap().push(Instant::now());
        let slowness = *self.0.slowness.lock().unwrap();
        tokio::time::sleep(slowness).await;
        let mut rows = self.answer()?;
        let now = Instant::now();
        let mut heads: BTreeMap<String, i64> = BTreeMap::new();
        for (number, row) in rows.iter().filter(|(_, row)| row.in_line) {
            let key = row.message.key.clone().unwrap_or_else(|| format!("\0{number}"));
            heads.entry(key).or_insert(*number);
        }
        let (wrapped, first): (Vec<_>, Vec<_>) =
            heads.into_iter().partition(|(key, _)| *key <= ask.after_key);
        let due: Vec<i64> = (first.into_iter().chain(wrapped))
            .map(|(_, number)| number)
            .filter(|number| {
                let row = &rows[number];
                let is_wanted = row.attempts == 0 || !ask.passes_failed;
                *number <= ask.up_to && row.due <= now && row.parked.is_none() && is_wanted
            })
            .take(ask.runs as usize)
            .collect();
        let depth = (ask.messages as usize).div_ceil(due.len().max(1));
        let mut runs = Vec::new();
        for head in due {
            let row = rows.get_mut(&head).expect("it is a head");
            let depth = if row.attempts > 0 { 1 } else { depth };
            row.due = now + ask.lease;
            row.leased_by = Some(ask.relay.clone());
            row.attempts += 1;
            let mut messages = vec![stored(head, row, row.attempts)];
            if let Some(key) = row.message.key.clone() {
                let followers = rows
                    .range(head + 1..)
                    .filter(|(_, row)| row.in_line && row.message.key.as_ref() == Some(&key));
                let followers = followers.take(depth - 1);
                messages
                    .extend(followers.map(|(number, row)| stored(*number, row, row.attempts + 1)));
            }
            runs.push(Run { messages });
        }
        Ok(runs)
    }

    async fn settle(&self, relay: &str, results: &Settlements) -> Result<(), sqlx::Error> {
        let mut rows = self.answer()?;
        for number in &results.sent {
            if let Some(row) = rows.get_mut(number) {
                (row.sent, row.in_line, row.leased_by) = (true, false, None);
            }
        }
        let mut held = |number: i64, settle: &dyn Fn(&mut Row)| {
            if let Some(row) = rows.get_mut(&number)
                && row.leased_by.as_deref().is_none_or(|by| by == relay)
            {
                row.leased_by = None;
                settle(row);
            }
        };
        let now = Instant::now();
        for number in &results.released {
            held(*number, &|row| (row.due, row.attempts) = (now, row.attempts - 1));
        }
        for later in &results.later {
            held(later.number, &|row| {
                (row.due, row.attempts) = (now + later.pause, later.attempts);
            });
        }
        for never in &results.never {
            held(never.number, &|row| {
                (row.parked, row.attempts) = (Some(never.reason.clone()), never.attempts);
                row.in_line = never.holds_key;
            });
        }
        Ok(())
    }

    async fn last_number(&self) -> Result<i64, sqlx::Error> {
        Ok(*self.answer()?.keys().max().unwrap_or(&0))
    }

    async fn arrival(&self, _: &str, at_most: Duration) -> bool {
        timeout(at_most, self.0.committed.notified()).await.is_ok()
    }

    async fn purge(&self, _: Duration, _: u32) -> Result<u64, sqlx::Error> {
        Ok(0)
    }

    async fn retire(&self, _: &str) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

impl Outbox for MemoryTable {
    async fn backlog(&self) -> Result<Backlog, sqlx::Error> {
        let rows = self.answer()?;
        let waiting = rows.values().filter(|row| row.in_line && row.parked.is_none()).count();
        Ok(Backlog { waiting: waiting as u64, parked: 0, oldest: None })
    }

    async fn parked(&self, _: u32) -> Result<Vec<Parked>, sqlx::Error> {
        Ok(Vec::new())
    }

    async fn retry(&self, _: i64) -> Result<bool, sqlx::Error> {
        Ok(false)
    }

    async fn drop_parked(&self, _: i64) -> Result<bool, sqlx::Error> {
        Ok(false)
    }
}

/// A call of [`Publisher::publish`] that a test answers.
pub(super) struct Call {
    pub(super) number: i64,
    pub(super) attempt: u32,
    answer: oneshot::Sender<Answer>,
}

enum Answer {
    Publish(Result<(), PublishError>),
    Panic,
}

impl Call {
    pub(super) fn answer(self, result: Result<(), PublishError>) {
        // The relay may have given the call up.
        let _ = self.answer.send(Answer::Publish(result));
    }

    pub(super) fn confirm(self) -> i64 {
        let number = self.number;
        self.answer(Ok(()));
        number
    }

    pub(super) fn panic(self) {
        let _ = self.answer.send(Answer::Panic);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }
}

/// The calls of a publisher, in their order.
pub(super) struct Calls(mpsc::UnboundedReceiver<Call>);

impl Calls {
    pub(super) async fn next(&mut self) -> Call {
        let call = timeout(Duration::from_mins(10), self.0.recv()).await;
        call.expect("the relay publishes").expect("the publisher lives")
    }

    /// Returns the next call if there is one within `wait`.
    pub(super) async fn within(&mut self, wait: Duration) -> Option<Call> {
        timeout(wait, self.0.recv()).await.ok().flatten()
    }
}

pub(super) struct AskedPublisher(mpsc::UnboundedSender<Call>);

pub(super) fn publisher() -> (AskedPublisher, Calls) {
    let (calls, asked) = mpsc::unbounded_channel();
    (AskedPublisher(calls), Calls(asked))
}

impl Publisher for AskedPublisher {
    async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
        let (answer, answered) = oneshot::channel();
        let call = Call { number: message.number(), attempt: message.attempt(), answer };
        self.0.send(call).map_err(PublishError::later)?;
        match answered.await {
            Ok(Answer::Publish(result)) => result,
            Ok(Answer::Panic) => panic!("the publisher panics"),
            Err(_) => std::future::pending().await,
        }
    }
}
