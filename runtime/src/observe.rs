//! Seeing a service while it runs: [`Observer`] and its events.
//!
//! [`Lifecycle::metrics`](crate::Lifecycle::metrics) is built on it, and [`Lifecycle::counts`](crate::Lifecycle::counts)
//! needs none of it. The guide has [a page on operating a service](crate::guide::operations).

#[cfg(feature = "metrics")]
pub use crate::exporters::MetricsFacade;
#[cfg(feature = "opentelemetry")]
pub use crate::exporters::OpenTelemetry;
pub use crate::service::{Ended, MessagesSettled, Observer, Phase, RequestEnded, WorkEnded};
