//! Timers for deadlines, which stay registered between requests.
//!
//! Registering and removing a timer costs more than the rest of a deadline, and few deadlines are
//! ever reached. So the timer of a request that is over stays registered for a deadline that has no
//! meaning any more, and the next request on the connection takes it over. If the timer elapses before the
//! new deadline, it is reset.
//!
//! Invariants:
//!
//! 1. An [`Alarm`] that [covers](Alarm::covers) a deadline elapses at it or before, and wakes the task that asked.
//!    `waker` is a clone of the waker that the timer was last polled with, so no other waker can have its address,
//!    and a timer drops its waker only when it has elapsed.
//! 2. A task whose deadline the alarm does not cover calls [`rings`](Alarm::rings). If that returns `false`, the
//!    alarm covers the deadline.
//! 3. An alarm that is [kept](Alarms::keep) armed wakes the task of its connection, or the waker that middleware
//!    put in its place, and belongs to the runtime of that task, which lives longer. The alarm of an HTTP/2 stream
//!    is disarmed first, because its waker would keep the finished task of the stream in memory.

use std::{
    pin::{Pin, pin},
    sync::{Mutex, PoisonError},
    task::{Context, Waker},
};

use tokio::{
    runtime::{Handle, Id},
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

pin_project_lite::pin_project! {
    #[derive(Debug)]
    struct Timer {
        #[pin]
        sleep: Option<Sleep>,
        // The waker that `sleep` was last polled with.
        waker: Waker,
        // The runtime that `sleep` is registered with.
        runtime: Option<Id>,
    }
}

/// A timer and the waker of its task, in a box that is reused.
#[derive(Debug)]
pub(crate) struct Alarm(Pin<Box<Timer>>);

impl Default for Alarm {
    fn default() -> Self {
        Self(Box::pin(Timer { sleep: None, waker: Waker::noop().clone(), runtime: None }))
    }
}

impl Alarm {
    /// Returns whether it wakes `waker` at `deadline` at the latest, without another poll.
    #[inline]
    pub(crate) fn covers(&self, deadline: Instant, waker: &Waker) -> bool {
        let armed = self.0.sleep.as_ref();
        armed.is_some_and(|sleep| sleep.deadline() <= deadline && !sleep.is_elapsed())
            && self.0.waker.will_wake(waker)
    }

    /// Returns whether `deadline` has passed; if not, it covers `deadline`. The caller borrows no request, because
    /// a waker may run code that comes back here.
    pub(crate) fn rings(&mut self, deadline: Instant, handler: &str, cx: &mut Context<'_>) -> bool {
        let mut timer = self.0.as_mut().project();
        if !timer.waker.will_wake(cx.waker()) {
            timer.waker.clone_from(cx.waker());
        }
        match timer.sleep.as_mut().as_pin_mut() {
            None => {
                timer.sleep.set(Some(arm(deadline, handler)));
                *timer.runtime = current();
            }
            Some(sleep) if sleep.deadline() > deadline => sleep.reset(deadline),
            Some(_) => {}
        }
        // The timer may have elapsed for the deadline of an earlier request.
        while let Some(mut sleep) = timer.sleep.as_mut().as_pin_mut() {
            // Unconstrained, because the body may have used up the task's budget, and then a timer is always
            // pending.
            if pin!(unconstrained(sleep.as_mut())).poll(cx).is_pending() {
                return false;
            }
            if sleep.deadline() >= deadline {
                return true;
            }
            sleep.reset(deadline);
        }
        false
    }

    /// Removes the timer and the waker.
    pub(crate) fn disarm(&mut self) {
        let mut timer = self.0.as_mut().project();
        timer.sleep.set(None);
        timer.waker.clone_from(Waker::noop());
    }
}

/// Registers a timer of tokio.
///
/// # Panics
///
/// Outside of a tokio runtime. tokio's own message would name neither the handler nor the deadline.
fn arm(deadline: Instant, handler: &str) -> Sleep {
    assert!(
        Handle::try_current().is_ok(),
        "`{handler}` has a deadline and was polled outside of a tokio runtime, where no clock would end it: call \
         it under `#[tokio::main]`, under `#[tokio::test]`, or in the `block_on` of a runtime that was built \
         with `enable_time`"
    );
    sleep_until(deadline)
}

fn current() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// How many alarms a connection keeps: enough for as many streams of HTTP/2 at once.
const KEPT: usize = 16;

/// The alarms of one connection that no request uses.
#[derive(Debug)]
pub(crate) struct Alarms {
    kept: Mutex<Vec<Alarm>>,
    /// The runtime of the connection's task.
    runtime: Option<Id>,
}

impl Alarms {
    /// Makes the alarms of a connection whose task runs on this runtime.
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), runtime: current() }
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Alarm> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps `alarm` for the next request. If its request had a task of its own, `alone`, disarms it first.
    #[inline]
    pub(crate) fn keep(&self, mut alarm: Alarm, alone: bool) {
        if alone || alarm.0.runtime != self.runtime {
            alarm.disarm();
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(alarm);
        } else {
            // Dropped outside the lock, because a waker may run a destructor that comes back here.
            drop(kept);
            drop(alarm);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        task::Wake,
        time::Duration,
    };

    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A task that counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn rings(alarm: &mut Alarm, deadline: Instant, waker: &Waker) -> bool {
        let rang = alarm.rings(deadline, "handler", &mut Context::from_waker(waker));
        assert_ne!(rang, alarm.covers(deadline, waker), "it rang, or it will");
        rang
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_early_once_for_a_later_deadline_and_then_in_time() {
        let task = Arc::new(Task::default());
        let (waker, first) = (Waker::from(task.clone()), Instant::now() + 10 * MS);
        let mut alarm = Alarm::default();
        assert!(!rings(&mut alarm, first, &waker));
        let second = first + 20 * MS;
        assert!(alarm.covers(second, &waker), "without another poll");
        advance(11 * MS).await;
        assert_eq!(task.0.load(SeqCst), 1);
        assert!(!alarm.covers(second, &waker), "it has elapsed and wakes no task any more");
        assert!(!rings(&mut alarm, second, &waker));
        advance(18 * MS).await;
        assert!(!rings(&mut alarm, second, &waker));
        advance(2 * MS).await;
        assert_eq!(task.0.load(SeqCst), 2);
        assert!(rings(&mut alarm, second, &waker));
    }

    #[tokio::test(start_paused = true)]
    async fn a_nearer_deadline_moves_it() {
        let task = Arc::new(Task::default());
        let (waker, far) = (Waker::from(task.clone()), Instant::now() + 1000 * MS);
        let mut alarm = Alarm::default();
        assert!(!rings(&mut alarm, far, &waker));
        let near = Instant::now() + 5 * MS;
        assert!(!alarm.covers(near, &waker));
        assert!(!rings(&mut alarm, near, &waker));
        advance(6 * MS).await;
        assert_eq!(task.0.load(SeqCst), 1);
        assert!(rings(&mut alarm, near, &waker));
        assert!(!rings(&mut alarm, far, &waker), "and back");
    }

    #[tokio::test(start_paused = true)]
    async fn another_task_is_woken_in_the_place_of_the_first() {
        let tasks = [Arc::new(Task::default()), Arc::new(Task::default())];
        let [first, second] = [Waker::from(tasks[0].clone()), Waker::from(tasks[1].clone())];
        let deadline = Instant::now() + 5 * MS;
        let mut alarm = Alarm::default();
        assert!(!rings(&mut alarm, deadline, &first));
        assert!(!alarm.covers(deadline, &second));
        assert!(!rings(&mut alarm, deadline, &second));
        advance(6 * MS).await;
        assert_eq!(tasks.map(|task| task.0.load(SeqCst)), [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_kept_alarm_of_a_stream_holds_no_waker() {
        let task = Arc::new(Task::default());
        let (waker, deadline) = (Waker::from(task.clone()), Instant::now() + 5 * MS);
        let mut alarm = Alarm::default();
        assert!(!rings(&mut alarm, deadline, &waker));
        drop(waker);
        let alarms = Alarms::new();
        alarms.keep(alarm, true);
        assert_eq!(Arc::strong_count(&task), 1);
        let mut kept = alarms.take().expect("it was kept");
        let waker = Waker::from(task.clone());
        assert!(!kept.covers(deadline, &waker));
        assert!(!rings(&mut kept, deadline, &waker));
        advance(6 * MS).await;
        assert_eq!(task.0.load(SeqCst), 1);
    }

    #[test]
    fn the_timer_of_another_runtime_is_not_kept() {
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (home, away) = (runtime(), runtime());
        let alarms = home.block_on(async { Alarms::new() });
        let deadline = Instant::now() + 1000 * 1000 * MS;
        let task = Waker::from(Arc::new(Task::default()));
        let mut alarm = Alarm::default();
        away.block_on(async { assert!(!rings(&mut alarm, deadline, &task)) });
        alarms.keep(alarm, false);
        drop(away);
        let mut kept = alarms.take().expect("its box was kept");
        home.block_on(async { assert!(!rings(&mut kept, deadline, &task)) });
        alarms.keep(kept, false);
        assert!(alarms.take().expect("it was kept").covers(deadline, &task), "armed at home");
    }
}
