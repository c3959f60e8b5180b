//! A relay in a process of its own, which is killed.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// Longer than the lease of the victim before, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) struct Victim {
    name: String,
    child: Child,
    published: watch::Receiver<usize>,
    numbers: JoinHandle<Vec<i64>>,
}

impl Victim {
    pub(super) fn start(url: &str, broker: &str, name: &str) -> Self {
        let program = std::env::current_exe().expect("the program has a path");
        let mut child = Command::new(program)
            .args(["relay", url, broker, name])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (sender, published) = watch::channel(0);
        let numbers = tokio::spawn(async move {
            let mut numbers = Vec::new();
            // A line that the kill has cut is no number. Its message counts as one that was not published.
            while let Ok(Some(line)) = lines.next_line().await {
                numbers.extend(line.parse::<i64>());
                sender.send_replace(numbers.len());
            }
            numbers
        });
        Self { name: name.to_owned(), child, published, numbers }
    }

    /// Waits until the broker confirms one more message of this process.
    pub(super) async fn next_published(&mut self) {
        let before = *self.published.borrow_and_update();
        let next = self.published.wait_for(|count| *count > before);
        let next = tokio::time::timeout(PATIENCE, next).await;
        next.expect("it publishes").expect("it runs");
    }

    /// Kills the process. Returns the numbers that it has published, after its last statement has ended.
    pub(super) async fn kill(mut self, pool: &PgPool) -> Vec<i64> {
        self.child.kill().await.expect("it runs");
        let numbers = self.numbers.await.expect("reading does not panic");
        let begin = Instant::now();
        while is_connected(pool, &self.name).await {
            assert!(begin.elapsed() < PATIENCE, "the connections of a dead process end");
            sleep(Duration::from_millis(1)).await;
        }
        numbers
    }
}

async fn is_connected(pool: &PgPool, name: &str) -> bool {
    const CONNECTED: &str =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)";
    let connected = sqlx::query_scalar(CONNECTED).bind(name).fetch_one(pool).await;
    connected.expect("the server answers")
}
