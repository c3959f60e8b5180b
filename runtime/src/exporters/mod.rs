//! Observers that record through the libraries of metrics that services use.
//!
//! Events are recorded as they come. What goes up and down is read from the service itself when it is exported, so a
//! future that is dropped cannot leave a gauge too high.

#[cfg(feature = "metrics")]
mod metrics_facade;
#[cfg(feature = "opentelemetry")]
mod open_telemetry;

use std::collections::BTreeMap;

#[cfg(feature = "metrics")]
pub use self::metrics_facade::MetricsFacade;
#[cfg(feature = "opentelemetry")]
pub use self::open_telemetry::OpenTelemetry;

/// Numbers by the value of a label. A value that was seen once stays, with the number zero, because a library of
/// metrics keeps the last number of each series.
#[derive(Debug)]
struct Series<L = &'static str, N = u64>(BTreeMap<L, N>);

impl<L: Ord, N: Default> Series<L, N> {
    /// Takes the numbers of now.
    fn update(&mut self, now: impl IntoIterator<Item = (L, N)>) -> &BTreeMap<L, N> {
        self.0.values_mut().for_each(|number| *number = N::default());
        self.0.extend(now);
        &self.0
    }
}

impl<L, N> Default for Series<L, N> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}
