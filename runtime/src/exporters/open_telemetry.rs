//! Metrics through the API of OpenTelemetry, by its semantic conventions for HTTP servers.
//!
//! The SDK keeps the callbacks of instruments for as long as its provider lives. So they hold the lifecycle weakly.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use ::opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};
use http::Version;

use super::Series;
use crate::{
    Lifecycle,
    cause::{Cause, Outcome},
    service::{
        MessagesSettled, Observer, Phase, RelayBacklog, RequestEnded, ServiceState, WorkEnded, lock,
    },
};

/// The boundaries that the semantic conventions advise for `http.server.request.duration`, in seconds.
const BOUNDARIES: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

const HANDLER: &str = "followthrough.handler";
const RELAY: &str = "followthrough.relay";

/// An [`Observer`] that records through [`opentelemetry`](::opentelemetry), by the semantic conventions for HTTP
/// servers. Needs the feature `opentelemetry`. The service chooses the SDK and its exporter.
///
/// `http.server.request.duration` has the attributes `http.request.method`, `http.route`,
/// `http.response.status_code`, `network.protocol.version` and `error.type`. A client that left is a status of 499
/// without `error.type`, and a deadline is a 504 with `error.type` `deadline_exceeded`. The page on [operating a
/// service](crate::guide::operations#exporters) has a table of all instruments.
///
/// A service cannot know `url.scheme` behind a proxy that ends TLS. [`with_attribute`](Self::with_attribute) adds
/// it.
///
/// # Examples
///
/// ```
/// use followthrough::{Lifecycle, observe::OpenTelemetry};
/// use opentelemetry::{KeyValue, global};
///
/// let telemetry = OpenTelemetry::new(global::meter("shop"))
///     .with_attribute(KeyValue::new("url.scheme", "https"));
/// let lifecycle = Lifecycle::builder().observer(telemetry.clone()).build()?;
/// telemetry.observe_gauges(&lifecycle);
/// # Ok::<(), followthrough::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenTelemetry {
    meter: Meter,
    /// The attributes that all measurements have.
    attributes: Vec<KeyValue>,
    requests: Histogram<f64>,
    cancelled: Counter<u64>,
    durable: Histogram<f64>,
    messages: Counter<u64>,
}

impl OpenTelemetry {
    /// Makes an observer whose instruments are of `meter`.
    #[must_use]
    pub fn new(meter: Meter) -> Self {
        Self {
            requests: meter
                .f64_histogram("http.server.request.duration")
                .with_unit("s")
                .with_description("Duration of HTTP server requests.")
                .with_boundaries(BOUNDARIES.into())
                .build(),
            cancelled: meter
                .u64_counter("followthrough.cancelled")
                .with_unit("{request}")
                .with_description("Requests that ended early.")
                .build(),
            durable: meter
                .f64_histogram("followthrough.durable_work.duration")
                .with_unit("s")
                .with_description("Time from the point of no return to the end of the work.")
                .with_boundaries(BOUNDARIES.into_iter().chain([30.0, 60.0]).collect())
                .build(),
            messages: meter
                .u64_counter("followthrough.outbox.messages")
                .with_unit("{message}")
                .with_description("Messages that a relay has settled.")
                .build(),
            attributes: Vec::new(),
            meter,
        }
    }

    /// Adds an attribute to all measurements, such as `url.scheme` or `server.address`.
    #[must_use]
    pub fn with_attribute(mut self, attribute: KeyValue) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// Creates the instruments for what goes up and down: requests and work in flight, connections, workers, the phase,
    /// and the backlogs of outboxes. The SDK reads them from `lifecycle` whenever it collects. Call this once for each lifecycle.
    ///
    /// The lifecycle is held weakly. Once it is dropped, its numbers are zero. A relay that has stopped has no backlog.
    pub fn observe_gauges(&self, lifecycle: &Lifecycle) {
        lifecycle.life.observers.become_present();
        let active = "http.server.active_requests";
        let about = "Number of active HTTP server requests.";
        self.observe(lifecycle, active, "{request}", about, Some("http.request.method"), |life| {
            let mut by_method = BTreeMap::new();
            for request in life.observers.in_flight() {
                *by_method.entry(request.method).or_default() += 1;
            }
            by_method
        });
        let about = "Durable, cooperative and reversible work, compensations and tracked tasks.";
        let name = "followthrough.work.in_flight";
        self.observe(lifecycle, name, "{work}", about, Some(HANDLER), |life| {
            life.in_flight_by_handler().work
        });
        let about = "Such work that goes on without its request.";
        let name = "followthrough.work.detached";
        self.observe(lifecycle, name, "{work}", about, Some(HANDLER), |life| {
            life.in_flight_by_handler().detached
        });
        let name = "followthrough.connections";
        self.observe(lifecycle, name, "{connection}", "Open connections.", None, |life| {
            BTreeMap::from([("", life.counts().connections as u64)])
        });
        let name = "followthrough.workers";
        self.observe(lifecycle, name, "{worker}", "Running workers.", None, |life| {
            BTreeMap::from([("", life.counts().workers as u64)])
        });
        let (name, about) = ("followthrough.phase", "1 for the phase of the service.");
        self.observe(lifecycle, name, "1", about, Some(name), |life| {
            let is_current = |phase| u64::from(phase == life.phase());
            Phase::ALL.into_iter().map(|phase| (phase.as_str(), is_current(phase))).collect()
        });
        self.observe_backlogs(lifecycle);
    }

    /// Creates the gauges of outboxes. An up-down counter would be added up over the relays of one table.
    fn observe_backlogs(&self, lifecycle: &Lifecycle) {
        let waiting = self.backlogs(lifecycle);
        self.meter
            .u64_observable_gauge("followthrough.outbox.waiting")
            .with_unit("{message}")
            .with_description("Messages that wait.")
            .with_callback(move |gauge| {
                for (attributes, backlog) in waiting() {
                    gauge.observe(backlog.waiting, &attributes);
                }
            })
            .build();
        let parked = self.backlogs(lifecycle);
        self.meter
            .u64_observable_gauge("followthrough.outbox.parked")
            .with_unit("{message}")
            .with_description("Messages that are parked.")
            .with_callback(move |gauge| {
                for (attributes, backlog) in parked() {
                    gauge.observe(backlog.parked, &attributes);
                }
            })
            .build();
        let oldest = self.backlogs(lifecycle);
        self.meter
            .f64_observable_gauge("followthrough.outbox.oldest")
            .with_unit("s")
            .with_description("The age of the oldest message that waits.")
            .with_callback(move |gauge| {
                for (attributes, backlog) in oldest() {
                    if let Some(age) = backlog.oldest {
                        gauge.observe(age.as_secs_f64(), &attributes);
                    }
                }
            })
            .build();
    }

    /// Returns a function that reads the backlog of each relay, with the attributes of the relay.
    fn backlogs(
        &self,
        lifecycle: &Lifecycle,
    ) -> impl Fn() -> Vec<(Vec<KeyValue>, RelayBacklog)> + Send + Sync + use<> {
        let (life, common) = (Arc::downgrade(&lifecycle.life), self.attributes.clone());
        move || {
            let backlogs = life.upgrade().map(|life| life.relays.backlogs()).unwrap_or_default();
            let with_attributes = |(relay, backlog)| {
                let own = KeyValue::new(RELAY, relay);
                (common.iter().cloned().chain([own]).collect(), backlog)
            };
            backlogs.into_iter().map(with_attributes).collect()
        }
    }

    /// Creates an instrument whose numbers `read` returns, by the values of the attribute `key`.
    fn observe(
        &self,
        lifecycle: &Lifecycle,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        key: Option<&'static str>,
        read: impl Fn(&ServiceState) -> BTreeMap<&'static str, u64> + Send + Sync + 'static,
    ) {
        let (life, common) = (Arc::downgrade(&lifecycle.life), self.attributes.clone());
        let series = Mutex::new(Series::default());
        self.meter
            .i64_observable_up_down_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                let mut series = lock(&series);
                let now = life.upgrade().map(|life| read(&life)).unwrap_or_default();
                for (value, number) in series.update(now) {
                    let own = key.map(|key| KeyValue::new(key, *value));
                    let attributes: Vec<_> = common.iter().cloned().chain(own).collect();
                    observer.observe(i64::try_from(*number).unwrap_or(i64::MAX), &attributes);
                }
            })
            .build();
    }

    fn attributes(&self, own: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
        self.attributes.iter().cloned().chain(own).collect()
    }
}

impl Observer for OpenTelemetry {
    fn request_ended(&self, request: &RequestEnded) {
        let mut attributes = self.attributes([
            KeyValue::new("http.request.method", request.method_name()),
            KeyValue::new("http.response.status_code", i64::from(request.status)),
        ]);
        let optional = [
            request.route.clone().map(|route| KeyValue::new("http.route", route)),
            version(request.version)
                .map(|version| KeyValue::new("network.protocol.version", version)),
            error_type(request),
        ];
        attributes.extend(optional.into_iter().flatten());
        self.requests.record(request.elapsed.as_secs_f64(), &attributes);
        if let Some(cause) = request.cause {
            let outcome = request.outcome.map_or("", Outcome::as_str);
            let attributes = self.attributes([
                KeyValue::new(HANDLER, request.handler_name()),
                KeyValue::new("followthrough.cause", cause.as_str()),
                KeyValue::new("followthrough.outcome", outcome),
            ]);
            self.cancelled.add(1, &attributes);
        }
    }

    fn work_ended(&self, work: &WorkEnded) {
        let attributes = self.attributes([
            KeyValue::new(HANDLER, work.handler.name()),
            KeyValue::new("followthrough.end", work.ended.as_str()),
            KeyValue::new("followthrough.detached", work.detached.is_some()),
        ]);
        self.durable.record(work.elapsed.as_secs_f64(), &attributes);
    }

    fn messages_settled(&self, messages: &MessagesSettled) {
        for (result, count) in messages.by_result() {
            let attributes = self.attributes([
                KeyValue::new(RELAY, messages.relay.clone()),
                KeyValue::new("followthrough.result", result),
            ]);
            self.messages.add(count, &attributes);
        }
    }
}

/// Returns the `error.type` of a request. The status of a client that left is below 500, so it has none.
fn error_type(request: &RequestEnded) -> Option<KeyValue> {
    let error = if request.panicked {
        "panic".into()
    } else if request.status == 504 && request.cause == Some(Cause::DeadlineExceeded) {
        Cause::DeadlineExceeded.as_str().into()
    } else if request.status >= 500 {
        request.status.to_string()
    } else {
        return None;
    };
    Some(KeyValue::new("error.type", error))
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}
