//! Tests of the counts and of the lines, with the clock paused.

use std::thread;

use super::*;

/// The counts that were logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u64>>>);

impl Log {
    fn note(&self, repeated: &Arc<Repeated>) {
        let log = self.clone();
        repeated.note(move |count| log.0.lock().unwrap().push(count));
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_logged_at_powers_of_two_and_its_end_a_second_later() {
    let (repeated, log) = (Arc::default(), Log::default());
    (0..100).for_each(|_| log.note(&repeated));
    assert_eq!(log.take(), [1, 2, 4, 8, 16, 32, 64]);
    pass(1001).await;
    assert_eq!(log.take(), [100], "no event has come since");
    pass(5000).await;
    assert_eq!(log.take(), [0_u64; 0], "nothing is left to say");
}

#[tokio::test(start_paused = true)]
async fn an_event_after_a_quiet_second_is_logged_at_once() {
    let (repeated, log) = (Arc::default(), Log::default());
    for count in 1..=20 {
        log.note(&repeated);
        assert_eq!(log.take(), [count]);
        pass(1000).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_flood_makes_no_more_lines_than_the_invariant_allows() {
    let (repeated, log) = (Arc::default(), Log::default());
    let (seconds, a_second) = (30_u64, 1000_u64);
    for _ in 0..seconds * a_second {
        log.note(&repeated);
        pass(1).await;
    }
    pass(1000).await;
    let (lines, events) = (log.take(), seconds * a_second);
    assert_eq!(lines.last(), Some(&events));
    let most = u64::from(events.ilog2()) + seconds + 1;
    assert!(lines.len() as u64 <= most, "{} lines, {most} are allowed", lines.len());
    assert!(lines.is_sorted() && lines.len() as u64 > seconds / 2, "{lines:?}");
}

#[test]
fn without_a_runtime_the_last_count_is_logged_by_the_flush() {
    let (events, log) = (RepeatedEvents::default(), Log::default());
    let repeated = events.of(Event::Handshake);
    (0..7).for_each(|_| log.note(&repeated));
    assert_eq!(log.take(), [1, 2, 4]);
    events.flush();
    events.flush();
    assert_eq!((log.take(), events.count(Event::Handshake)), (vec![7], 7));
}

#[test]
fn a_runtime_that_ends_leaves_the_last_count_to_the_next_one() {
    let (repeated, log) = (Arc::default(), Log::default());
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().build().expect("it builds");
    runtime().block_on(async { (0..3).for_each(|_| log.note(&repeated)) });
    assert_eq!(log.take(), [1, 2]);
    assert!(!repeated.lock().is_timed, "its task is gone");
    // The third is kept; an event of another runtime does not wait for the task that is gone.
    repeated.flush();
    assert_eq!(log.take(), [3]);
}

#[test]
fn events_of_many_threads_are_counted_exactly_and_logged_seldom() {
    let (repeated, log) = (Arc::default(), Log::default());
    let (threads, each) = (8, 5_000);
    let began = std::time::Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..each).for_each(|_| log.note(&repeated)));
        }
    });
    repeated.flush();
    let (events, mut lines) = (threads * each, log.take());
    assert_eq!(repeated.count(), events);
    lines.sort_unstable();
    assert_eq!(lines.last(), Some(&events));
    lines.dedup();
    let most = u64::from(events.ilog2()) + began.elapsed().as_secs() + 2;
    assert!(lines.len() as u64 <= most, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_logs_nothing_delays_no_line() {
    let (repeated, log) = (Arc::default(), Log::default());
    (0..4).for_each(|_| log.note(&repeated));
    pass(10_000).await;
    repeated.flush();
    log.note(&repeated);
    assert_eq!(log.take(), [1, 2, 4, 5]);
}
