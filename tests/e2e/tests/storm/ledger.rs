//! The record of the storm's handlers, apart from the counts of the runtime.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The bodies by request. A request that runs two bodies side by side has two lines.
#[derive(Debug)]
pub(crate) struct Ledger(Vec<Line>);

#[derive(Debug, Default)]
struct Line {
    begun: AtomicU32,
    ended: AtomicU32,
    panicked: AtomicU32,
    lost: AtomicU32,
}

impl Ledger {
    pub(crate) fn new(lines: usize) -> Arc<Self> {
        Arc::new(Self((0..lines).map(|_| Line::default()).collect()))
    }

    /// Records that the body is past its point of no return. The body keeps the returned passage
    /// until its end.
    pub(crate) fn begins(self: &Arc<Self>, line: usize) -> Passage {
        self.0[line].begun.fetch_add(1, Ordering::SeqCst);
        Passage { ledger: self.clone(), line, end: |line| &line.lost }
    }

    /// Returns whether a body of this line began.
    pub(crate) fn has_begun(&self, line: usize) -> bool {
        self.0[line].begun.load(Ordering::SeqCst) > 0
    }

    /// Adds up the lines, and panics on a line that does not add up.
    pub(crate) fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for (index, line) in self.0.iter().enumerate() {
            let read = |count: &AtomicU32| count.load(Ordering::SeqCst);
            let (begun, ended) = (read(&line.begun), read(&line.ended));
            let (panicked, lost) = (read(&line.panicked), read(&line.lost));
            assert_eq!((begun, lost), (ended + panicked, 0), "request {index}: {line:?}");
            sum.requests += u64::from(begun > 0);
            sum.panicked += u64::from(panicked > 0);
        }
        sum
    }
}

/// A body between its point of no return and its end.
pub(crate) struct Passage {
    ledger: Arc<Ledger>,
    line: usize,
    end: fn(&Line) -> &AtomicU32,
}

impl Passage {
    /// Records the end of the body.
    pub(crate) fn ends(mut self) {
        self.end = |line| &line.ended;
    }

    /// Records the body's own panic, and panics.
    pub(crate) fn panics(mut self) -> ! {
        self.end = |line| &line.panicked;
        panic!("{ON_PURPOSE}");
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        (self.end)(&self.ledger.0[self.line]).fetch_add(1, Ordering::SeqCst);
    }
}

/// The message of the storm's own panics.
pub(crate) const ON_PURPOSE: &str = "the storm panics on purpose";

/// The number of lines that began, and of those with an abnormal end.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) requests: u64,
    pub(crate) panicked: u64,
}
