//! Transactions that enqueue messages, of several tasks at once.

use std::{collections::BTreeSet, time::Duration};

use followthrough_outbox::{Message, enqueue};
use sqlx::PgPool;
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::{arrivals::Committed, database::next_place, stream::TOPIC};

const WRITERS: usize = 3;
const KEYS: u32 = 50;

/// The tasks, and the messages that they have committed.
pub(super) struct Writers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<Vec<Committed>>>,
}

impl Writers {
    pub(super) fn start(pool: &PgPool, chance: &mut fastrand::Rng) -> Self {
        let (stop, stopped) = watch::channel(false);
        let tasks = (0..WRITERS)
            .map(|writer| {
                let writer =
                    Writer { pool: pool.clone(), chance: chance.fork(), name: writer, messages: 0 };
                tokio::spawn(writer.run(stopped.clone()))
            })
            .collect();
        Self { stop, tasks }
    }

    /// Stops the tasks. Returns the messages that they have committed.
    pub(super) async fn stop(self) -> Vec<Committed> {
        self.stop.send_replace(true);
        let mut committed = Vec::new();
        for task in self.tasks {
            committed.extend(task.await.expect("the database takes each transaction"));
        }
        committed
    }
}

struct Writer {
    pool: PgPool,
    chance: fastrand::Rng,
    name: usize,
    messages: u64,
}

impl Writer {
    async fn run(mut self, stopped: watch::Receiver<bool>) -> Vec<Committed> {
        let mut committed = Vec::new();
        while !*stopped.borrow() {
            let messages = self.transaction().await.expect("the database takes it");
            committed.extend(messages);
            sleep(Duration::from_micros(self.chance.u64(0..100_000))).await;
        }
        committed
    }

    /// Commits up to three messages of each of one or two keys, or one message without a key.
    async fn transaction(&mut self) -> Result<Vec<Committed>, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let mut committed = Vec::new();
        if self.chance.u8(0..4) == 0 {
            self.messages += 1;
            committed.push(Committed {
                name: format!("writer-{}/{}", self.name, self.messages),
                place: None,
            });
        }
        // In one order, because two transactions that wait for each other fail.
        let keys: BTreeSet<u32> =
            (0..self.chance.u8(1..=2)).map(|_| self.chance.u32(0..KEYS)).collect();
        for key in keys {
            let key = format!("key-{key}");
            for _ in 0..self.chance.u8(1..=3) {
                let place = next_place(&mut tx, &key).await?;
                committed.push(Committed {
                    name: format!("{key}/{place}"),
                    place: Some((key.clone(), place)),
                });
            }
        }
        for message in &committed {
            let Committed { name, place } = message;
            let mut message = Message::new(TOPIC, name.as_str());
            if let Some((key, _)) = place {
                message = message.key(key);
            }
            enqueue(&mut tx, &message).await.expect("the message is valid");
        }
        tx.commit().await?;
        Ok(committed)
    }
}
