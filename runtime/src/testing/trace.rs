//! Finds the `await`s at which a request is suspended, without help from its code.
//!
//! A leaf future clones the task's waker during its poll. A backtrace at that clone contains every `async fn`
//! above the leaf, each at its `await`.
//!
//! Invariants:
//!
//! 1. `POLL` holds the current poll of this thread only during that poll, because `Watched` restores the previous
//!    one at the end and while unwinding.
//! 2. A wake-up through the probe of an earlier poll is ignored during a later poll of the same request, because
//!    that poll has already taken its place.
//! 3. `Woken` is set before the outer waker is called, because the next poll reads it.

use std::{
    cell::RefCell,
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use backtrace::{Backtrace, BacktraceFrame, BacktraceSymbol};
use cooked_waker::{IntoWaker, Wake, WakeRef};

use super::disconnect_run::Await;

/// The number of clones per poll that are traced. A `join!` clones once per branch.
const LOOKS: usize = 16;

thread_local! {
    static POLL: RefCell<Option<CurrentPoll>> = const { RefCell::new(None) };
}

/// The current poll of a watched request.
struct CurrentPoll {
    /// The number of its probe.
    probe: u64,
    /// The request's flag, which also identifies the request.
    woken: Woken,
    /// The stacks in which the waker was cloned.
    clones: Vec<Backtrace>,
}

/// Whether a request was woken since its last poll.
#[derive(Clone, Default)]
pub(super) struct Woken(Arc<AtomicBool>);

impl Woken {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn reset(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A waker that records where it is cloned, and that it was used.
struct Probe {
    number: u64,
    outer: Waker,
    woken: Woken,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        let _ = POLL.try_with(|poll| {
            if let Ok(mut poll) = poll.try_borrow_mut() {
                if let Some(poll) = poll.as_mut().filter(|poll| poll.clones.len() < LOOKS) {
                    poll.clones.push(Backtrace::new_unresolved());
                }
            }
        });
        Self { number: self.number, outer: self.outer.clone(), woken: self.woken.clone() }
    }
}

impl WakeRef for Probe {
    fn wake_by_ref(&self) {
        // A future that is given a new waker may wake its previous one. That wake-up is not for a waiter of this
        // request (invariant 2).
        let superseded = POLL.try_with(|poll| {
            let comes_after = |poll: &CurrentPoll| {
                poll.probe > self.number && Arc::ptr_eq(&poll.woken.0, &self.woken.0)
            };
            poll.try_borrow().is_ok_and(|poll| poll.as_ref().is_some_and(comes_after))
        });
        if superseded != Ok(true) {
            self.woken.0.store(true, Ordering::SeqCst);
            self.outer.wake_by_ref();
        }
    }
}

impl Wake for Probe {}

/// The `await`s that a suspended request is in, the innermost first.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// The `await`s in code of neither a dependency nor the standard library.
    pub(super) awaits: Vec<Await>,
    /// Distinguishes traces that have no visible `await`.
    addresses: Vec<usize>,
}

impl Trace {
    /// Returns whether both are at the same `await` of the user's code.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        if self.awaits.is_empty() && other.awaits.is_empty() {
            return self.addresses == other.addresses;
        }
        self.awaits == other.awaits
    }
}

/// Polls with a new waker. Returns the trace of the suspension as well, if a future has cloned that waker.
pub(super) fn poll<T>(
    outer: &Waker,
    woken: &Woken,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> (Poll<T>, Option<Trace>) {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let probe = Probe { number, outer: outer.clone(), woken: woken.clone() };
    let waker = Box::new(probe).into_waker();
    let mut below = 0_usize;
    backtrace::trace(|_| {
        below += 1;
        true
    });
    let watched = Watched::begin(number, woken);
    let polled = poll(&mut Context::from_waker(&waker));
    let traces = watched.end().into_iter().map(|stack| {
        let frames = stack.frames();
        resolve(&frames[..frames.len().saturating_sub(below)])
    });
    // Timeouts and runners around the code also clone the waker. The deepest trace is in the user's code.
    let deepest =
        traces.reduce(
            |deepest, trace| {
                if trace.awaits.len() > deepest.awaits.len() { trace } else { deepest }
            },
        );
    (polled, deepest)
}

/// Makes a poll the current one until it is dropped (invariant 1).
struct Watched(Option<CurrentPoll>);

impl Watched {
    fn begin(probe: u64, woken: &Woken) -> Self {
        Self(POLL.replace(Some(CurrentPoll { probe, woken: woken.clone(), clones: Vec::new() })))
    }

    fn end(mut self) -> Vec<Backtrace> {
        let poll = POLL.replace(self.0.take());
        poll.map(|poll| poll.clones).unwrap_or_default()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            POLL.set(self.0.take());
        }
    }
}

fn resolve(frames: &[BacktraceFrame]) -> Trace {
    /// Resolving a frame is slow, and the same frames occur many times.
    static KNOWN: LazyLock<Mutex<HashMap<usize, Vec<Await>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let addresses: Vec<usize> = frames.iter().map(|frame| frame.ip() as usize).collect();
    let mut awaits = Vec::new();
    for (frame, address) in frames.iter().zip(&addresses) {
        awaits.extend(known.entry(*address).or_insert_with(|| look_up(frame)).iter().cloned());
    }
    Trace { awaits, addresses }
}

/// Returns the `await`s of the user's code in a frame: several if functions were inlined.
fn look_up(frame: &BacktraceFrame) -> Vec<Await> {
    /// The root of the workspace, to which `file!()` is relative.
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = std::env::current_dir().unwrap_or_default();
        let root = here.ancestors().find(|folder| folder.join("Cargo.lock").exists());
        root.unwrap_or(&here).to_owned()
    });
    let mut frame = frame.clone();
    frame.resolve();
    let in_source = |symbol: &BacktraceSymbol| {
        let (file, line) = (symbol.filename()?, symbol.lineno()?);
        if !is_of_the_user(&file.to_string_lossy()) {
            return None;
        }
        let name = symbol.name().map(|name| {
            format!("{name:#}").replace("::{{closure}}", "").replace("::{{synthetic}}", "")
        });
        Some(Await {
            // With line tables alone, an `async fn` is called `{async_fn#0}`.
            function: name.filter(|name| !name.starts_with('{')),
            file: file.strip_prefix(&*ROOT).unwrap_or(file).display().to_string(),
            line,
            column: symbol.colno(),
        })
    };
    frame.symbols().iter().filter_map(in_source).collect()
}

fn is_of_the_user(file: &str) -> bool {
    const OTHERS: [&str; 4] = ["/registry/src/", "/git/checkouts/", "/rustc/", "/rustlib/src/"];
    const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
    !file.starts_with(OURS) && !OTHERS.iter().any(|other| file.contains(other))
}
