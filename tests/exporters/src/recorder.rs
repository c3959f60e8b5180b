//! A recorder of the facade `metrics` that keeps what it is given.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};

/// The values of all series, as `name{label="value",…}`. A histogram is the number of its records.
pub type Samples = BTreeMap<String, f64>;

/// The recorder. Its clones share what it keeps.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    counters: Cells,
    gauges: Cells,
    histograms: Arc<Mutex<BTreeMap<String, Arc<Records>>>>,
    described: Arc<Mutex<Vec<String>>>,
}

type Cells = Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>;

#[derive(Debug, Default)]
struct Records(Mutex<Vec<f64>>);

impl HistogramFn for Records {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl Recorder {
    /// Returns the counters and the histograms.
    ///
    /// # Panics
    ///
    /// If a value is out of range.
    #[must_use]
    pub fn ended(&self) -> Samples {
        let counter = |value: &AtomicU64| {
            f64::from(u32::try_from(value.load(Ordering::SeqCst)).expect("tests count little"))
        };
        let mut samples = read(&self.counters, counter);
        for (series, records) in &*self.histograms.lock().unwrap() {
            let records = records.0.lock().unwrap();
            assert!(records.iter().all(|seconds| (0.0..60.0).contains(seconds)), "{records:?}");
            samples.insert(series.clone(), records.iter().map(|_| 1.0).sum());
        }
        samples
    }

    /// Returns the gauges.
    #[must_use]
    pub fn gauges(&self) -> Samples {
        read(&self.gauges, |value| f64::from_bits(value.load(Ordering::SeqCst)))
    }

    /// Returns the names of the metrics that have a description.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn described(&self) -> Vec<String> {
        self.described.lock().unwrap().clone()
    }
}

fn read(cells: &Cells, value: impl Fn(&AtomicU64) -> f64) -> Samples {
    let cells = cells.lock().unwrap();
    cells.iter().map(|(series, cell)| (series.clone(), value(cell))).collect()
}

fn series(key: &Key) -> String {
    let labels: Vec<_> =
        key.labels().map(|label| format!("{}=\"{}\"", label.key(), label.value())).collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

fn cell(cells: &Cells, key: &Key) -> Arc<AtomicU64> {
    cells.lock().unwrap().entry(series(key)).or_default().clone()
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(key.as_str().to_owned());
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe_counter(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe_counter(key, unit, description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(cell(&self.counters, key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(cell(&self.gauges, key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.histograms.lock().unwrap().entry(series(key)).or_default().clone())
    }
}
