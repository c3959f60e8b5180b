//! Annotated handlers beside the attributes, extractors and layers of other crates.
//!
//! `runtime/guide/layers.md` names these tests. Servers that are not ours are in `tests/servers`, OpenTelemetry is in
//! `tests/exporters`, and AWS Lambda is in `examples/lambda`.

mod attributes;
mod extractors;
mod handlers;
mod http_layers;
mod panics;
mod sessions;
mod streams;
mod timeouts;
mod tower_layers;
