//! Where in the source a request is suspended, without help from its code.
//!
//! What waits keeps a clone of its task's waker. When it is polled again with another waker it drops
//! that clone, deep within its own poll, where a look at the stack finds every `async fn` on the way
//! down, each at its `await`.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use backtrace::{Backtrace, BacktraceFrame};

use super::cut::Await;

thread_local! {
    static LOOKOUT: RefCell<Lookout> = const { RefCell::new(Lookout::Off) };
}

/// For the first waker that is dropped.
enum Lookout {
    Off,
    On,
    Seen(Backtrace),
}

/// Whether a request was woken since it was polled.
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

/// A waker that tells where it is dropped, and that it was used.
struct Probe {
    outer: Waker,
    woken: Woken,
}

/// A waker that nothing else has, around `outer`.
pub(super) fn probe(outer: &Waker, woken: &Woken) -> Waker {
    Arc::new(Probe { outer: outer.clone(), woken: woken.clone() }).into()
}

impl Wake for Probe {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.0.store(true, Ordering::SeqCst);
        self.outer.wake_by_ref();
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = LOOKOUT.try_with(|lookout| {
            if matches!(*lookout.borrow(), Lookout::On) {
                lookout.replace(Lookout::Seen(Backtrace::new_unresolved()));
            }
        });
    }
}

/// The `await`s that a suspended request is in, the innermost first.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// Those in code that is neither a dependency's nor the standard library's.
    pub(super) awaits: Vec<Await>,
    /// To tell one from another where nothing is known of the source.
    addresses: Vec<usize>,
}

impl Trace {
    /// Whether it is the same `await` of the user's code.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        if self.awaits.is_empty() {
            self.addresses == other.addresses
        } else {
            self.awaits == other.awaits
        }
    }
}

/// Polls what has just been pending again, with another waker; tells where it was suspended, if that can
/// be seen.
pub(super) fn poll_again<T>(
    waker: &Waker,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> (Poll<T>, Option<Trace>) {
    let mut below = 0_usize;
    backtrace::trace(|_| {
        below += 1;
        true
    });
    LOOKOUT.set(Lookout::On);
    let polled = poll(&mut Context::from_waker(waker));
    let Lookout::Seen(stack) = LOOKOUT.replace(Lookout::Off) else { return (polled, None) };
    let frames = stack.frames();
    let above = frames.len().saturating_sub(below);
    (polled, Some(resolve(&frames[..above])))
}

fn resolve(frames: &[BacktraceFrame]) -> Trace {
    /// Resolving takes its time, and the same frames come again and again.
    static KNOWN: LazyLock<Mutex<HashMap<usize, Vec<Await>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let addresses: Vec<usize> = frames.iter().map(|frame| frame.ip() as usize).collect();
    let mut awaits = Vec::new();
    for (frame, address) in frames.iter().zip(&addresses) {
        awaits.extend(known.entry(*address).or_insert_with(|| look_up(frame)).iter().cloned());
    }
    Trace { awaits, addresses }
}

/// What of the user's source is at a frame; several if functions were inlined there.
fn look_up(frame: &BacktraceFrame) -> Vec<Await> {
    let mut frame = frame.clone();
    frame.resolve();
    let here = std::env::current_dir().unwrap_or_default();
    let in_source = |symbol: &backtrace::BacktraceSymbol| {
        let (file, line) = (symbol.filename()?, symbol.lineno()?);
        if !is_of_the_user(&file.to_string_lossy()) {
            return None;
        }
        let name = symbol.name().map(|name| format!("{name:#}").replace("::{{closure}}", ""));
        Some(Await {
            // With line tables alone, an `async fn` is called `{async_fn#0}`.
            function: name.filter(|name| !name.starts_with('{')),
            file: file.strip_prefix(&here).unwrap_or(file).display().to_string(),
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
