//! Brokers and databases that are down, slow, or refuse some keys.

use super::*;

#[tokio::test(start_paused = true)]
async fn results_wait_for_the_database_and_nothing_is_leased_until_then() {
    let table = MemoryTable::default();
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay);
    table.commit(Some("a"));
    table.commit(Some("b"));
    let (first, second) = (calls.next().await, calls.next().await);
    table.set_down(true);
    first.confirm();
    second.confirm();
    let looks = table.looks();
    sleep(SECOND * 60).await;
    assert_eq!(table.looks(), looks);
    table.set_down(false);
    sleep(SECOND).await;
    assert_eq!(table.sent(), [1, 2], "they were published once");
    assert!(calls.within(SECOND).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn slow_looks_leave_the_database_to_the_requests() {
    let table = MemoryTable::default();
    table.set_slowness(SECOND / 5);
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay);
    sleep(SECOND * 5).await;
    let looks = table.looks();
    for _ in 0..100 {
        table.commit(None);
        sleep(SECOND / 5).await;
        while let Some(call) = calls.within(Duration::from_millis(1)).await {
            call.confirm();
        }
    }
    let looks = table.looks() - looks;
    assert!((10..=24).contains(&looks), "{looks} looks of 0.2 s in 20 s");
    assert!(table.sent().len() > 80, "{} of 100 are published", table.sent().len());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_down_is_asked_at_a_bounded_rate() {
    let table = MemoryTable::default();
    for number in 0..2000 {
        table.commit(Some(&format!("key-{number}")));
    }
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay.concurrency(50));
    let begin = Instant::now();
    let mut attempts = 0;
    while begin.elapsed() < SECOND * 60 {
        if let Some(call) = calls.within(SECOND).await {
            attempts += 1;
            call.answer(later());
        }
    }
    assert!((2000..=6000).contains(&attempts), "{attempts} attempts in a minute");
    let back = Instant::now();
    while table.sent().len() < 2000 {
        if let Some(call) = calls.within(SECOND / 10).await {
            call.confirm();
        }
    }
    assert!(
        back.elapsed() < SECOND * 15,
        "all are out {:?} after the broker is back",
        back.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn keys_that_fail_do_not_delay_a_key_that_works() {
    for failing in [15, 40, 400] {
        let table = MemoryTable::default();
        for number in 0..failing {
            table.commit(Some(&format!("fails-{number}")));
        }
        let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay);
        let begin = Instant::now();
        let mut works = None;
        let mut commit_at = begin + SECOND * 30;
        let mut longest = Duration::ZERO;
        while begin.elapsed() < SECOND * 90 {
            if works.is_none() && commit_at <= Instant::now() {
                commit_at += SECOND * 7;
                works = Some((table.commit(Some("works")), Instant::now()));
            }
            let Some(call) = calls.within(SECOND / 10).await else { continue };
            match works {
                Some((number, committed)) if number == call.number => {
                    longest = longest.max(committed.elapsed());
                    call.confirm();
                    works = None;
                }
                _ => call.answer(later()),
            }
        }
        assert!(longest < SECOND / 2, "{failing} keys delayed another one for {longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_whose_only_message_hangs_does_not_look_all_the_time() {
    let table = MemoryTable::default();
    table.commit(Some("hangs"));
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay);
    let _hangs = calls.next().await;
    sleep(SECOND).await;
    let looks = table.looks();
    sleep(SECOND * 5).await;
    let looks = table.looks() - looks;
    assert!(looks <= 55, "{looks} looks in 5 s");
}

#[tokio::test(start_paused = true)]
async fn an_idle_relay_with_a_long_poll_ends_each_pause() {
    let table = MemoryTable::default();
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| {
        relay.lease(SECOND * 600).poll(SECOND * 600).backoff(SECOND, SECOND * 10)
    });
    table.commit(Some("a"));
    for _ in 0..5 {
        calls.next().await.answer(later());
    }
    table.commit(Some("b"));
    let second = calls.next().await;
    assert_eq!(second.number, 2);
    second.answer(later());
    assert_eq!(calls.next().await.confirm(), 2);
    let first = calls.within(SECOND * 12).await;
    assert_eq!(first.map(|call| call.number), Some(1), "its pause is 10 s");
}
