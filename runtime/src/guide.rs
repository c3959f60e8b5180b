//! The guide, one page a topic.
//!
//! On a code host a link leads to the target that the page defines at its end. In rustdoc it leads to the one in
//! `links.txt`, which stands before each page, because the first definition of a link wins.

#![allow(clippy::doc_markdown, reason = "prose for people, with the names that they know")]

// Its examples need `reqwest`.
#[cfg(any(feature = "reqwest", not(doctest)))]
#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/calls.md")]
pub mod calls {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/costs.md")]
pub mod costs {}

// Its plots are within the links, because rustdoc ships no files.
#[doc = include_str!("../guide/costs-plots.md")]
#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/costs_tables.md")]
pub mod costs_tables {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/databases.md")]
pub mod databases {}

// Its examples need `toml`.
#[cfg(any(feature = "toml", not(doctest)))]
#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/deadlines.md")]
pub mod deadlines {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/durable_work.md")]
pub mod durable_work {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/faq.md")]
pub mod faq {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/features.md")]
pub mod features {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/from_aspnet_core.md")]
pub mod from_aspnet_core {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/from_axum.md")]
pub mod from_axum {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/from_dropshot.md")]
pub mod from_dropshot {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/from_timeout_layer.md")]
pub mod from_timeout_layer {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/from_tokio_util.md")]
pub mod from_tokio_util {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/handlers.md")]
pub mod handlers {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/idempotency.md")]
pub mod idempotency {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/kubernetes.md")]
pub mod kubernetes {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/lambda.md")]
pub mod lambda {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/laws.md")]
pub mod laws {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/layers.md")]
pub mod layers {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/logs.md")]
pub mod logs {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/one_process.md")]
pub mod one_process {}

// Its examples need three libraries, so they run in `tests/openapi`.
#[cfg(not(doctest))]
#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/openapi.md")]
pub mod openapi {}

// Its examples need both exporters.
#[cfg(any(all(feature = "metrics", feature = "opentelemetry"), not(doctest)))]
#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/operations.md")]
pub mod operations {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/outbox.md")]
pub mod outbox {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/proof.md")]
pub mod proof {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/proxies.md")]
pub mod proxies {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/recipes.md")]
pub mod recipes {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/review.md")]
pub mod review {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/rules.md")]
pub mod rules {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/scan.md")]
pub mod scan {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/serve.md")]
pub mod serve {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/servers.md")]
pub mod servers {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/streams.md")]
pub mod streams {}

#[cfg(feature = "testing")]
#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../guide/links.txt")]
#[doc = include_str!("../guide/workers.md")]
pub mod workers {}
