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
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use backtrace::{Backtrace, BacktraceFrame};

use super::cut::Await;

thread_local! {
    static LOOKOUT: RefCell<Lookout> = const { RefCell::new(Lookout::Off) };
    static POLLED_WITH: RefCell<Option<PolledWith>> = const { RefCell::new(None) };
}

/// What the request that is being polled is polled with.
#[derive(Clone)]
struct PolledWith {
    /// The number of its probe.
    probe: u64,
    /// For what a runner itself waits for, such as a deadline: that is not where the body is.
    runner: Waker,
}

/// The waker for a runner's own signals, while its request is watched.
pub(crate) fn waker_of_runner(cx: &Context<'_>) -> Waker {
    let watched = POLLED_WITH.with_borrow(|with| with.as_ref().map(|with| with.runner.clone()));
    watched.unwrap_or_else(|| cx.waker().clone())
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
    number: u64,
    outer: Waker,
    woken: Woken,
}

impl Probe {
    /// One that nothing else has, around `outer`.
    fn new(outer: &Waker, woken: &Woken) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self { number, outer: outer.clone(), woken: woken.clone() }
    }
}

impl Wake for Probe {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // What finds another waker than its last one may wake that one, for whoever it is. It is nobody:
        // the poll that is going on has come in its place.
        let superseded = POLLED_WITH
            .try_with(|with| with.borrow().as_ref().is_some_and(|with| with.probe > self.number));
        if superseded != Ok(true) {
            self.woken.0.store(true, Ordering::SeqCst);
            self.outer.wake_by_ref();
        }
    }
}

/// Polls with a waker that nothing else has.
pub(super) fn poll<T>(
    outer: &Waker,
    woken: &Woken,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    struct Before(Option<PolledWith>);

    impl Drop for Before {
        fn drop(&mut self) {
            POLLED_WITH.set(self.0.take());
        }
    }

    let probe = Probe::new(outer, woken);
    let with =
        PolledWith { probe: probe.number, runner: Arc::new(Probe::new(outer, woken)).into() };
    let _before = Before(POLLED_WITH.replace(Some(with)));
    poll(&mut Context::from_waker(&Arc::new(probe).into()))
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
    outer: &Waker,
    woken: &Woken,
    again: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> (Poll<T>, Option<Trace>) {
    let mut below = 0_usize;
    backtrace::trace(|_| {
        below += 1;
        true
    });
    LOOKOUT.set(Lookout::On);
    let polled = poll(outer, woken, again);
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
