//! The exports of OpenTelemetry follow the semantic conventions, and agree with the clients.

use std::{collections::BTreeMap, time::Duration};

use followthrough::observe::OpenTelemetry;
use followthrough_exporter_tests::{REQUESTS, scene, spawn_relay};
use followthrough_tests::{lifecycle, soon};
use opentelemetry::{KeyValue, metrics::MeterProvider};
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, InMemoryMetricExporterBuilder, PeriodicReader, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};

/// The last export: the values of all series, as `name key=value …` in the order of the keys. A histogram is its
/// count,
/// and a gauge of seconds its whole part.
type Samples = BTreeMap<String, i64>;

struct Exported {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl Exported {
    fn new() -> Self {
        let exporter = InMemoryMetricExporterBuilder::new().build();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        Self { provider: SdkMeterProvider::builder().with_reader(reader).build(), exporter }
    }

    fn collect(&self) -> Samples {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let mut samples = Samples::new();
        for resource in self.exporter.get_finished_metrics().unwrap() {
            let scopes: Vec<_> = resource.scope_metrics().collect();
            for metric in scopes.iter().flat_map(|scope| scope.metrics()) {
                for (attributes, value) in points(metric.data()) {
                    let twice = samples.insert(format!("{}{attributes}", metric.name()), value);
                    assert_eq!(twice, None, "{}{attributes}", metric.name());
                }
            }
        }
        samples
    }
}

fn attributes<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let mut pairs: Vec<_> =
        attributes.map(|pair| format!(" {}={}", pair.key, pair.value)).collect();
    pairs.sort();
    pairs.concat()
}

fn points(data: &AggregatedMetrics) -> Vec<(String, i64)> {
    match data {
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| {
                assert!(point.bounds().collect::<Vec<_>>().starts_with(&[0.005, 0.01, 0.025]));
                (attributes(point.attributes()), point.count().try_into().unwrap())
            })
            .collect(),
        AggregatedMetrics::I64(MetricData::Sum(sum)) => {
            assert!(!sum.is_monotonic());
            sum.data_points().map(|point| (attributes(point.attributes()), point.value())).collect()
        }
        AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
            .data_points()
            .map(|point| (attributes(point.attributes()), point.value().try_into().unwrap()))
            .collect(),
        AggregatedMetrics::U64(MetricData::Gauge(gauge)) => gauge
            .data_points()
            .map(|point| (attributes(point.attributes()), point.value().try_into().unwrap()))
            .collect(),
        AggregatedMetrics::F64(MetricData::Gauge(gauge)) => gauge
            .data_points()
            .map(|point| {
                let seconds = Duration::from_secs_f64(point.value()).as_secs();
                (attributes(point.attributes()), seconds.try_into().unwrap())
            })
            .collect(),
        other => panic!("no instrument is of this kind: {other:?}"),
    }
}

fn assert_early_ends(samples: &Samples) {
    for (handler, cause, outcome) in [
        ("slow", "deadline_exceeded", "not_begun"),
        ("wait", "client_disconnected", "not_begun"),
        ("pay", "client_disconnected", "unknown"),
    ] {
        let series = format!(
            "followthrough.cancelled followthrough.cause={cause} followthrough.handler={handler} \
             followthrough.outcome={outcome} url.scheme=http"
        );
        assert_eq!(samples[&series], 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_follow_the_semantic_conventions_and_gauges_return_to_zero() {
    let exported = Exported::new();
    let telemetry = OpenTelemetry::new(exported.provider.meter("test"))
        .with_attribute(KeyValue::new("url.scheme", "http"));
    let in_flight = |_: &_| {
        let samples = exported.collect();
        assert_eq!(
            samples["http.server.active_requests http.request.method=GET url.scheme=http"],
            1
        );
        assert_eq!(samples["followthrough.connections url.scheme=http"], 1);
    };
    let builder = lifecycle().observer(telemetry.clone());
    let observe = |lifecycle: &_| {
        spawn_relay(lifecycle);
        telemetry.observe_gauges(lifecycle);
    };
    let scene = scene(builder, observe, in_flight).await;
    let ended = |samples: &Samples| {
        samples.keys().filter(|series| series.starts_with("http.server.request.duration")).count()
    };
    let all = usize::try_from(REQUESTS).unwrap();
    scene.until("the ends of all", || ended(&exported.collect()) == all).await;
    let samples = exported.collect();
    assert_eq!(
        samples["followthrough.work.in_flight followthrough.handler=pay url.scheme=http"],
        1
    );
    assert_eq!(samples["followthrough.work.detached followthrough.handler=pay url.scheme=http"], 1);
    assert_eq!(samples["followthrough.phase followthrough.phase=running url.scheme=http"], 1);

    let relay = "followthrough.relay=orders";
    let of_relay = |gauge: &str| format!("followthrough.outbox.{gauge} {relay} url.scheme=http");
    let waiting = of_relay("waiting");
    scene.until("the relay", || exported.collect().contains_key(&waiting)).await;
    let samples = exported.collect();
    assert_eq!((samples[&waiting], samples[&of_relay("parked")]), (5, 2));
    assert!(samples[&of_relay("oldest")] >= 3600);

    let requests: Vec<&str> = samples
        .iter()
        .filter_map(|(series, count)| {
            let attributes = series.strip_prefix("http.server.request.duration ")?;
            assert_eq!(*count, 1, "{attributes}");
            attributes.strip_suffix(" network.protocol.version=1.1 url.scheme=http")
        })
        .collect();
    assert_eq!(
        requests,
        [
            "error.type=502 http.request.method=GET http.response.status_code=502 http.route=/faulty",
            "error.type=deadline_exceeded http.request.method=GET http.response.status_code=504 \
             http.route=/slow",
            "error.type=panic http.request.method=GET http.response.status_code=500 http.route=/broken",
            "http.request.method=GET http.response.status_code=200 http.route=/orders/{id}",
            "http.request.method=GET http.response.status_code=499 http.route=/wait",
            "http.request.method=POST http.response.status_code=499 http.route=/pay",
            "http.request.method=_OTHER http.response.status_code=404",
        ]
    );
    assert_early_ends(&samples);

    let last_handle = scene.lifecycle().clone();
    drop(scene.end().await);
    let samples = exported.collect();
    for (result, count) in [("sent", 20), ("retried", 3), ("parked", 0)] {
        let messages = format!(
            "followthrough.outbox.messages {relay} followthrough.result={result} url.scheme=http"
        );
        assert_eq!(samples[&messages], count);
    }
    // A relay that has stopped leaves no gauge.
    for gauge in ["waiting", "parked", "oldest"] {
        assert!(!samples.contains_key(&of_relay(gauge)), "{gauge}");
    }
    let durable = "followthrough.durable_work.duration followthrough.detached=true \
                   followthrough.end=completed followthrough.handler=pay url.scheme=http";
    assert_eq!(samples[durable], 1);
    let gauges = |samples: &Samples| {
        let events = [
            "http.server.request.duration",
            "followthrough.cancelled",
            "followthrough.outbox.messages",
            durable,
        ];
        let mut gauges = samples.clone();
        gauges.retain(|series, _| !events.iter().any(|event| series.starts_with(event)));
        gauges
    };
    let mut last = gauges(&samples);
    let ended = "followthrough.phase followthrough.phase=ended url.scheme=http";
    assert_eq!(last.insert(ended.into(), 0), Some(1));
    assert!(
        last.contains_key("followthrough.work.detached followthrough.handler=pay url.scheme=http")
    );
    assert!(last.values().all(|value| *value == 0), "{last:?}");
    // The callbacks of the SDK do not keep the lifecycle.
    drop(last_handle);
    soon("zeros", async {
        while gauges(&exported.collect()) != last {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
