//! Marks that handlers set and tests wait for.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

use crate::soon;

/// A list of events, in order.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    seen: Arc<Mutex<Vec<(String, Instant)>>>,
    news: Arc<Notify>,
}

impl Marks {
    /// Appends a mark.
    pub fn set(&self, mark: impl Into<String>) {
        self.seen().push((mark.into(), Instant::now()));
        self.news.notify_waiters();
    }

    /// Returns all marks.
    pub fn all(&self) -> Vec<String> {
        self.seen().iter().map(|(mark, _)| mark.clone()).collect()
    }

    /// Returns when `mark` was first set.
    pub fn when(&self, mark: &str) -> Option<Instant> {
        self.seen().iter().find(|(seen, _)| seen == mark).map(|(_, at)| *at)
    }

    /// Returns whether `mark` is set.
    pub fn has(&self, mark: &str) -> bool {
        self.when(mark).is_some()
    }

    /// Waits until `mark` is set.
    ///
    /// # Panics
    ///
    /// If `mark` is not set soon.
    pub async fn until(&self, mark: &str) {
        soon(&format!("`{mark}` after {:?}", self.all()), async {
            loop {
                let mut news = std::pin::pin!(self.news.notified());
                news.as_mut().enable();
                if self.has(mark) {
                    return;
                }
                news.await;
            }
        })
        .await;
    }

    /// Returns a guard that sets `mark` when it is dropped.
    #[must_use = "it is set when the guard is dropped"]
    pub fn on_drop(&self, mark: &str) -> impl Send + use<> {
        struct OnDrop(Marks, String);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.set(std::mem::take(&mut self.1));
            }
        }
        OnDrop(self.clone(), mark.to_owned())
    }

    fn seen(&self) -> MutexGuard<'_, Vec<(String, Instant)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
