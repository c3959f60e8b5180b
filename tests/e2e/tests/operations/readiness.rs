//! Readiness that combines with checks of a service's own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use followthrough::{ReadinessChecks, Router, routing::get};
use followthrough_tests::{Log, Server, h1, lifecycle};

#[tokio::test]
async fn the_checks_of_a_service_are_a_part_of_its_readiness() {
    let log = Log::capture();
    let lifecycle = lifecycle().drain_delay(Duration::from_secs(2)).read_grace(Duration::ZERO);
    let state = Arc::new(AtomicU8::new(0));
    let seen = state.clone();
    let checks = ReadinessChecks::new()
        .check("cache", Duration::from_millis(50), move || {
            let state = seen.load(Ordering::Relaxed);
            async move {
                match state {
                    1 => Err("no\nconnection"),
                    2 => panic!("it broke"),
                    3 => std::future::pending().await,
                    _ => Ok(()),
                }
            }
        })
        .check("disk", Duration::from_secs(1), async || Ok::<_, String>(()));
    let app = axum::Router::new();
    let server = Server::with(lifecycle, app).await;
    let probe: Router = Router::new().route("/ready", get(server.lifecycle.readiness_with(checks)));
    let probes = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = probes.local_addr().unwrap();
    drop(tokio::spawn(axum::serve(probes, probe.into_axum()).into_future()));

    let probe = async || h1::call(at, "GET", "/ready").await;
    assert_eq!(probe().await.status, 200);
    let faults = [(1, "no\\nconnection"), (2, "it broke"), (3, "no answer within 50ms")];
    for (number, (fault, logged)) in (1..).zip(faults) {
        state.store(fault, Ordering::Relaxed);
        // A probe that finds the same fault is not logged again.
        for _ in 0..2 {
            let answer = probe().await;
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
            let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(problem["detail"], "not ready: cache");
        }
        let lines = log.with("not ready, because a check fails");
        assert_eq!(lines.len(), number, "{lines:?}");
        assert!(lines[number - 1].text.contains(logged), "{lines:?}");
        assert!(lines[number - 1].text.contains("check=cache"), "{lines:?}");
        state.store(0, Ordering::Relaxed);
        assert_eq!(probe().await.status, 200);
    }
    assert_eq!(log.with("a check of the readiness succeeds again").len(), 3);
    // A service that shuts down is not ready, whatever its checks say.
    server.lifecycle.shutdown();
    let answer = probe().await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("the service is shutting down"), "{}", answer.body);
    drop(server.ended().await);
}

#[test]
#[should_panic(expected = "the name \"a\\\"b\" of a check needs an escape in JSON")]
fn the_name_of_a_check_needs_no_escape() {
    drop(ReadinessChecks::new().check(
        "a\"b",
        Duration::from_secs(1),
        async || Ok::<_, String>(()),
    ));
}
