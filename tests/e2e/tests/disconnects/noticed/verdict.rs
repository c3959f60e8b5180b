//! The verdict on a combination, and the list of failed combinations.

use std::time::{Duration, Instant};

use followthrough_tests::Marks;
use tokio::time::timeout;

/// The time within which the server has to notice a disconnect.
pub(crate) const NOTICED: Duration = Duration::from_millis(100);
/// A disconnect that is unnoticed by then counts as never noticed.
const PATIENCE: Duration = Duration::from_secs(1);
/// On a busy machine a task may wait longer for its turn than the limit. A server that is late in
/// every attempt fails; the limit stays the same.
const ATTEMPTS: usize = 3;

/// The time that the server took, or the fault.
pub(crate) type Verdict = Result<Duration, Wrong>;

/// The fault of a combination.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// The server noticed after the limit.
    Late(Duration),
    /// Any other fault, which is not tried again, because another attempt would hide it.
    Otherwise(String),
}

/// Fails a combination unless `right`.
pub(crate) fn check(right: bool, wrong: impl FnOnce() -> String) -> Result<(), Wrong> {
    if right { Ok(()) } else { Err(Wrong::Otherwise(wrong())) }
}

/// Returns how long after `left` the last of `marks` was set.
pub(crate) async fn noticed(seen: &Marks, marks: &[&str], left: Instant) -> Verdict {
    let mut took = Duration::ZERO;
    for mark in marks {
        let _ = timeout(PATIENCE, seen.until(mark)).await;
        let Some(at) = seen.when(mark) else {
            let wrong = format!("no `{mark}` within {PATIENCE:?}, only {:?}", seen.all());
            return Err(Wrong::Otherwise(wrong));
        };
        let Some(after) = at.checked_duration_since(left) else {
            return Err(Wrong::Otherwise(format!("`{mark}` before the client left")));
        };
        took = took.max(after);
    }
    if took > NOTICED { Err(Wrong::Late(took)) } else { Ok(took) }
}

/// Waits until `is` holds, for at most [`PATIENCE`].
pub(crate) async fn becomes(is: impl Fn() -> bool) -> bool {
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.is_ok()
}

/// The combinations of a test.
#[derive(Debug, Default)]
pub(crate) struct Table {
    wrong: Vec<String>,
    right: usize,
}

impl Table {
    /// Plays one combination.
    pub(crate) async fn cell(&mut self, name: &str, play: impl AsyncFn() -> Verdict) {
        let mut late = Vec::new();
        for _ in 0..ATTEMPTS {
            match play().await {
                Ok(took) => {
                    println!("{name}: {:.1} ms", took.as_secs_f64() * 1e3);
                    self.right += 1;
                    return;
                }
                Err(Wrong::Late(took)) => late.push(took),
                Err(Wrong::Otherwise(wrong)) => return self.wrong.push(format!("{name}: {wrong}")),
            }
        }
        self.wrong.push(format!("{name}: noticed after {late:?}, not within {NOTICED:?}"));
    }

    /// Plays several tables at once, because they spend their time waiting.
    pub(crate) async fn together<F: Future<Output = Self>>(
        tables: impl Iterator<Item = F>,
    ) -> Self {
        let mut all = Self::default();
        for table in futures_util::future::join_all(tables).await {
            all.wrong.extend(table.wrong);
            all.right += table.right;
        }
        all
    }

    /// Fails if any combination went wrong.
    pub(crate) fn done(self) {
        let Self { wrong, right } = self;
        assert!(right + wrong.len() > 0, "nothing was played");
        assert!(
            wrong.is_empty(),
            "{} of {} combinations went wrong:\n{}",
            wrong.len(),
            right + wrong.len(),
            wrong.join("\n")
        );
    }
}
