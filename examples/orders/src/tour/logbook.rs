//! The service's log: shown as it comes, and kept so that the scenes can look things up.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::DEFAULT_LOG;

/// All lines so far; a clone is the same book.
#[derive(Clone, Default)]
pub(super) struct Logbook(Arc<Mutex<Vec<String>>>);

impl Logbook {
    /// Makes this the process's log.
    pub(super) fn install(self) -> Self {
        let log = tracing_subscriber::fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_writer(self.clone());
        let filter: tracing_subscriber::filter::Targets =
            DEFAULT_LOG.parse().expect("the default filter is well-formed");
        tracing_subscriber::registry().with(log).with(filter).init();
        self
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the book ends now: what comes later is after this mark.
    pub(super) fn mark(&self) -> usize {
        self.lines().len()
    }

    /// The lines after `mark` that have all of `words` in them.
    pub(super) fn find(&self, mark: usize, words: &[&str]) -> Vec<String> {
        let lines = self.lines();
        let found =
            lines[mark..].iter().filter(|line| words.iter().all(|word| line.contains(word)));
        found.cloned().collect()
    }
}

impl Write for Logbook {
    /// One line each: that is how the formatter writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        // Whoever reads the tour may have left; the service must not fall over that.
        let _ = write!(io::stdout(), "    | {text}");
        self.lines().push(text.trim_end().to_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logbook {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
