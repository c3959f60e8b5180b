//! A shutdown by a real signal ends within its grace, whatever work is stuck in the process, and
//! names the work that it abandons.

#![cfg(unix)]

use std::time::{Duration, Instant};

use followthrough_tests::{Signal, h1, h2c, soon, ws};

use crate::scene::{GRACE, LIMIT, end, end_while, refused, server};

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_durable_write_that_never_ends_is_abandoned_by_name() {
    let mut server = server(&[]).await;
    let _waits = h1::send(server.at, "POST", "/stuck").await;
    server.begun("stuck").await;
    let exit = end(server).await;
    assert!(exit.took >= GRACE, "it has the whole grace: {exit}");
    assert!(exit.took < LIMIT, "{exit}");
    assert_eq!(exit.code, Some(1), "{exit}");
    assert_eq!(exit.abandoned(), [("stuck", "durable")], "{exit}");
    let stuck = &exit.report["abandoned"][0];
    let location = stuck["location"].as_str().unwrap();
    assert!(location.starts_with("tests/e2e/src/bin/bounded-server.rs:"), "{exit}");
    assert!(stuck["age_ms"].as_u64() >= Some(2000) && stuck["detached"] == false, "{exit}");
    assert_eq!((exit.durable("begun"), exit.durable("abandoned")), (2, 1), "{exit}");
    assert!(exit.text.contains("stuck") && exit.text.contains(location), "{exit}");
}

#[tokio::test]
async fn a_durable_write_without_its_client_is_waited_for_or_named() {
    let mut server = server(&[]).await;
    let mut http2 = h2c::connect(server.at).await;
    for path in ["/stuck", "/quick"] {
        let over_http1 = h1::send(server.at, "POST", path).await;
        let over_http2 = http2.send("POST", path).await;
        server.begun(&path[1..]).await;
        server.begun(&path[1..]).await;
        over_http1.hang_up();
        over_http2.reset();
    }
    let exit = end(server).await;
    assert!(exit.took >= GRACE && exit.took < LIMIT, "{exit}");
    assert_eq!(exit.code, Some(1), "{exit}");
    assert_eq!(exit.abandoned(), [("stuck", "durable"), ("stuck", "durable")], "{exit}");
    let abandoned = exit.report["abandoned"].as_array().unwrap();
    assert!(abandoned.iter().all(|work| work["detached"] == true), "{exit}");
    assert_eq!((exit.durable("completed"), exit.durable("followed_through")), (3, 2), "{exit}");
}

#[tokio::test]
async fn a_blocked_spawn_blocking_does_not_hold_the_process() {
    let mut server = server(&[]).await;
    let _waits = h1::send(server.at, "POST", "/blocking").await;
    server.begun("blocking").await;
    let exit = end(server).await;
    assert!(exit.took >= GRACE && exit.took < LIMIT, "{exit}");
    assert_eq!(exit.code, Some(1), "{exit}");
    assert_eq!(exit.abandoned(), [("blocking", "durable")], "{exit}");
}

#[tokio::test]
async fn a_worker_that_ignores_its_token_is_abandoned_by_name() {
    let mut server = server(&["--deaf-worker"]).await;
    server.begun("deaf worker").await;
    let exit = end(server).await;
    assert!(exit.took >= GRACE && exit.took < LIMIT, "{exit}");
    assert_eq!(exit.code, Some(1), "{exit}");
    assert_eq!(exit.abandoned(), [("deaf", "worker")], "{exit}");
    assert_eq!(exit.report["failed_workers"].as_array().map(Vec::len), Some(0), "{exit}");
    assert!(exit.cut().is_empty(), "{exit}");
}

#[tokio::test]
async fn a_read_that_never_ends_is_answered_when_the_read_grace_is_over() {
    let mut server = server(&[]).await;
    let mut over_http1 = h1::send(server.at, "GET", "/hang").await;
    let mut connection = h2c::connect(server.at).await;
    let over_http2 = connection.send("GET", "/hang").await;
    server.begun("hang").await;
    server.begun("hang").await;
    let exit = end_while(server, async {
        assert_eq!(over_http1.answer().await.status, 503);
        assert_eq!(over_http2.answer().await.status, 503);
    })
    .await;
    assert!(exit.took < GRACE, "it does not hold the shutdown to its end: {exit}");
    assert_eq!(exit.code, Some(0), "{exit}");
    assert_eq!(exit.report["cancelled"]["shutting_down"], 2, "{exit}");
    assert!(exit.abandoned().is_empty() && exit.cut().is_empty(), "{exit}");
}

#[tokio::test]
async fn a_plain_handler_that_never_answers_is_cut() {
    let mut server = server(&[]).await;
    let _over_http1 = h1::send(server.at, "GET", "/plain/hang").await;
    let mut connection = h2c::connect(server.at).await;
    let _over_http2 = connection.send("GET", "/plain/hang").await;
    server.begun("plain hang").await;
    server.begun("plain hang").await;
    let exit = end(server).await;
    assert!(exit.took >= GRACE && exit.took < LIMIT, "{exit}");
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(exit.abandoned().is_empty(), "{exit}");
    let handlers = exit.cut().into_iter().map(|(protocol, requests)| (protocol, requests[0].0));
    let expected = [("http/1.1", "(no policy)"), ("http/2", "(no policy)")];
    assert_eq!(handlers.collect::<Vec<_>>(), expected, "{exit}");
}

#[tokio::test]
async fn all_kinds_of_stuck_work_at_once_are_bounded_and_named() {
    let mut server = server(&["--deaf-worker"]).await;
    let _half_a_head = h1::raw(server.at, "GET /quick HT").await;
    let _half_a_preface = h1::raw(server.at, "PRI * HTTP/2.0\r\n\r\nS").await;
    let _mute = h1::raw(server.at, h2c::first_bytes(None)).await;
    let _stuck = h1::send(server.at, "POST", "/stuck").await;
    let _blocking = h1::send(server.at, "POST", "/blocking").await;
    let _unread = h1::send(server.at, "GET", "/big").await;
    let _sse = h1::send(server.at, "GET", "/plain/sse").await;
    let _ws = ws::open(server.at, "/ws").await;
    for what in ["deaf worker", "stuck", "blocking", "big", "ws"] {
        server.begun(what).await;
    }
    let exit = end(server).await;
    assert!(exit.took >= GRACE && exit.took < LIMIT, "{exit}");
    assert_eq!(exit.code, Some(1), "{exit}");
    let lost = [("blocking", "durable"), ("deaf", "worker"), ("stuck", "durable")];
    assert_eq!(exit.abandoned(), lost, "{exit}");
    let cut: Vec<_> = exit.cut().into_iter().flat_map(|(_, requests)| requests).collect();
    for named in [("big", "response"), ("(no policy)", "response"), ("ws", "upgraded")] {
        assert!(cut.contains(&named), "{named:?} is named: {exit}");
    }
}

#[tokio::test]
async fn cut_connections_are_closed_when_serve_returns() {
    let mut server = server(&["--stay"]).await;
    let mut socket = ws::open(server.at, "/ws").await;
    let mut unread = h1::send(server.at, "GET", "/big").await;
    let mut unread_over_http2 = h1::raw(server.at, h2c::first_bytes(Some(("GET", "/big")))).await;
    let mut mute = h1::raw(server.at, h2c::first_bytes(None)).await;
    let mut waits = h1::send(server.at, "POST", "/stuck").await;
    for what in ["ws", "big", "big", "stuck"] {
        server.begun(what).await;
    }
    let signal = server.signal(Signal::TERM);
    server.report().await;
    assert!(signal.elapsed() < LIMIT);
    // The process still runs, so its end does not close the connections.
    socket.ends().await;
    unread.ends().await;
    unread_over_http2.ends().await;
    mute.ends().await;
    waits.ends().await;
    let exit = server.exit(Instant::now()).await;
    assert_eq!(exit.abandoned(), [("stuck", "durable")], "{exit}");
}

#[tokio::test]
async fn a_second_signal_skips_to_the_end() {
    let mut server = server(&["--grace-ms", "60000", "--read-grace-ms", "600"]).await;
    let _waits = h1::send(server.at, "POST", "/stuck").await;
    server.begun("stuck").await;
    server.signal(Signal::TERM);
    // Two signals within half a second count as one.
    server.begun("stopping").await;
    let second = server.signal(Signal::TERM);
    let exit = server.exit(second).await;
    assert!(exit.took < 1500 * MS, "a second, and half of one for a busy machine: {exit}");
    assert_eq!(exit.code, Some(1), "{exit}");
    assert_eq!(exit.abandoned(), [("stuck", "durable")], "{exit}");
}

#[tokio::test]
async fn ended_work_does_not_delay_the_end() {
    let mut server = server(&["--grace-ms", "9000", "--read-grace-ms", "4000"]).await;
    let mut innocent = h1::send(server.at, "POST", "/quick").await;
    server.begun("quick").await;
    let signal = server.signal(Signal::INT);
    let (answer, exit) = tokio::join!(innocent.answer(), server.exit(signal));
    assert_eq!(answer.status, 201, "{exit}");
    assert!(exit.took < 4000 * MS, "not even the read grace: {exit}");
    assert_eq!(exit.code, Some(0), "{exit}");
    assert_eq!((exit.durable("begun"), exit.durable("completed")), (1, 1), "{exit}");
    assert!(exit.abandoned().is_empty() && exit.cut().is_empty(), "{exit}");
}

#[tokio::test]
async fn a_probe_is_told_at_once_while_the_service_still_accepts() {
    const DELAY: Duration = Duration::from_secs(3);
    let mut server = server(&["--grace-ms", "8000", "--drain-delay-ms", "3000"]).await;
    let at = server.at;
    assert_eq!(h1::call(at, "GET", "/ready").await.status, 200);
    let mut before = h1::send(at, "POST", "/quick").await;
    server.begun("quick").await;
    let signal = server.signal(Signal::TERM);
    soon("the 503", async { while h1::call(at, "GET", "/ready").await.status != 503 {} }).await;
    assert!(signal.elapsed() < DELAY / 2, "{:?}", signal.elapsed());
    assert_eq!(before.answer().await.status, 201);
    // The load balancer has not noticed yet.
    assert_eq!(h1::call(at, "POST", "/quick").await.status, 201);
    assert!(signal.elapsed() < DELAY, "{:?}", signal.elapsed());
    refused(at).await;
    assert!(signal.elapsed() >= DELAY, "{:?}", signal.elapsed());
    let exit = server.exit(signal).await;
    assert!(exit.took < DELAY + LIMIT, "{exit}");
    assert_eq!((exit.code, exit.durable("completed")), (Some(0), 2), "{exit}");
    let phases = ["not_ready", "closing", "stopping", "workers", "last_moments", "cutting"];
    let sum: Duration = phases.iter().map(|phase| exit.phase(phase)).sum();
    assert!(exit.phase("not_ready") >= DELAY, "{exit}");
    assert!(sum.abs_diff(exit.elapsed()) < 100 * MS, "the phases are the whole of it: {exit}");
}
