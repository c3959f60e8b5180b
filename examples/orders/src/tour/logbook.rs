//! The service's log: printed as it comes, and kept for the checks of the scenes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::DEFAULT_LOG;

/// All lines so far. A clone shares them.
#[derive(Clone, Default)]
pub(super) struct Logbook(Arc<Mutex<Vec<String>>>);

impl Logbook {
    /// Installs this as the log of the process.
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

    /// Returns the current end of the log. Later lines are after this mark.
    pub(super) fn mark(&self) -> usize {
        self.lines().len()
    }

    /// Returns the lines after `mark` that contain all of `words`.
    pub(super) fn find(&self, mark: usize, words: &[&str]) -> Vec<String> {
        let lines = self.lines();
        let found =
            lines[mark..].iter().filter(|line| words.iter().all(|word| line.contains(word)));
        found.cloned().collect()
    }
}

impl Write for Logbook {
    /// The formatter writes one line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        // The reader of the tour may have closed stdout, which must not end the service.
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
