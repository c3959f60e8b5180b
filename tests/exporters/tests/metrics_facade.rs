//! The records of the facade `metrics` agree with the clients and the report.

#![expect(clippy::float_cmp, reason = "all of them are whole numbers")]

use followthrough::{Lifecycle, observe::MetricsFacade};
use followthrough_exporter_tests::{REQUESTS, Recorder, Samples, scene, spawn_relay};
use followthrough_tests::lifecycle;

fn requests_ended(samples: &Samples) -> f64 {
    let of_requests = |series: &str| series.starts_with("followthrough_requests_ended_total");
    samples.iter().filter(|(series, _)| of_requests(series)).map(|(_, count)| count).sum()
}

// The recorder is of the whole process, so there is one test.
#[tokio::test]
async fn the_facade_records_every_end_and_its_gauges_return_to_zero() {
    let recorder = Recorder::default();
    metrics::set_global_recorder(recorder.clone()).unwrap();
    let facade = MetricsFacade::new();
    let in_flight = |lifecycle: &Lifecycle| {
        facade.set_gauges(lifecycle);
        let gauges = recorder.gauges();
        assert_eq!(gauges["followthrough_requests_in_flight{handler=\"wait\"}"], 1.0);
        assert_eq!(gauges["followthrough_connections{}"], 1.0);
    };
    let scene = scene(lifecycle().observer(facade.clone()), spawn_relay, in_flight).await;
    let all = f64::from(REQUESTS);
    scene.until("the ends of all", || requests_ended(&recorder.ended()) == all).await;
    let lifecycle = scene.lifecycle().clone();
    scene
        .until("the report of the relay", || {
            facade.set_gauges(&lifecycle);
            recorder.gauges().contains_key("followthrough_outbox_waiting{relay=\"orders\"}")
        })
        .await;
    let gauges = recorder.gauges();
    assert_eq!(gauges["followthrough_outbox_waiting{relay=\"orders\"}"], 5.0);
    assert_eq!(gauges["followthrough_outbox_parked{relay=\"orders\"}"], 2.0);
    assert!(gauges["followthrough_outbox_oldest_seconds{relay=\"orders\"}"] >= 3600.0);
    assert_eq!(gauges["followthrough_work_in_flight{handler=\"pay\"}"], 1.0);
    assert_eq!(gauges["followthrough_work_detached{handler=\"pay\"}"], 1.0);
    assert_eq!(gauges["followthrough_phase{phase=\"running\"}"], 1.0);

    let report = scene.end().await;
    // The observers have been told of the end, before anyone has set a gauge again.
    assert_eq!(recorder.gauges()["followthrough_phase{phase=\"ended\"}"], 1.0);
    facade.set_gauges(&lifecycle);
    let mut gauges = recorder.gauges();
    assert_eq!(gauges.remove("followthrough_phase{phase=\"ended\"}"), Some(1.0));
    assert!(gauges.contains_key("followthrough_work_detached{handler=\"pay\"}"));
    assert!(gauges.values().all(|gauge| *gauge == 0.0), "{gauges:?}");

    let ended = recorder.ended();
    let requests = |labels: &str| ended[&format!("followthrough_requests_ended_total{{{labels}}}")];
    for labels in [
        "handler=\"order\",method=\"GET\",status=\"200\",cause=\"\"",
        "handler=\"slow\",method=\"GET\",status=\"504\",cause=\"deadline_exceeded\"",
        "handler=\"faulty\",method=\"GET\",status=\"502\",cause=\"\"",
        "handler=\"broken\",method=\"GET\",status=\"500\",cause=\"\"",
        "handler=\"pay\",method=\"POST\",status=\"499\",cause=\"client_disconnected\"",
        "handler=\"wait\",method=\"GET\",status=\"499\",cause=\"client_disconnected\"",
        "handler=\"(no policy)\",method=\"_OTHER\",status=\"404\",cause=\"\"",
    ] {
        assert_eq!(requests(labels), 1.0, "{labels}");
    }
    let once = [
        "cancelled_total{handler=\"slow\",cause=\"deadline_exceeded\",outcome=\"not_begun\"}",
        "cancelled_total{handler=\"wait\",cause=\"client_disconnected\",outcome=\"not_begun\"}",
        "cancelled_total{handler=\"pay\",cause=\"client_disconnected\",outcome=\"unknown\"}",
        "request_seconds{handler=\"order\"}",
        "request_seconds{handler=\"pay\"}",
        "durable_work_begun_total{}",
        "durable_work_ended_total{handler=\"pay\",end=\"completed\"}",
        "durable_work_seconds{handler=\"pay\",end=\"completed\"}",
        "rescued_total{handler=\"pay\"}",
    ];
    for series in once {
        assert_eq!(ended[&format!("followthrough_{series}")], 1.0, "{series}");
    }
    for result in ["claimed", "joined", "replayed", "refused", "unknown"] {
        let series = format!("followthrough_idempotency_keys_total{{result=\"{result}\"}}");
        assert_eq!(ended.get(&series), Some(&0.0), "no request had a key");
    }
    for (result, count) in [("sent", 20.0), ("retried", 3.0), ("parked", 0.0)] {
        let series = "followthrough_outbox_messages_total{relay=\"orders\",result=";
        assert_eq!(ended.get(&format!("{series}\"{result}\"}}")), Some(&count), "{result}");
    }
    assert_eq!(report.durable.followed_through, 1);
    assert_eq!(requests_ended(&ended), all);
    let described = recorder.described();
    for series in ended.keys().chain(gauges.keys()) {
        let name = series.split('{').next().unwrap();
        assert!(described.iter().any(|known| known == name), "{name} has no description");
    }
}
