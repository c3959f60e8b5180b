//! Longer answers, a page each.

#![allow(clippy::doc_markdown, reason = "prose for people, with the names that they know")]

#[doc = include_str!("../guide/calls.md")]
pub mod calls {}

// Its plots first: rustdoc ships no files, so here they are within the links that the page defines once more.
#[doc = include_str!("../guide/costs-plots.md")]
#[doc = include_str!("../guide/costs.md")]
pub mod costs {}

#[doc = include_str!("../guide/databases.md")]
pub mod databases {}

#[doc = include_str!("../guide/deadlines.md")]
pub mod deadlines {}

#[doc = include_str!("../guide/durable_work.md")]
pub mod durable_work {}

#[doc = include_str!("../guide/kubernetes.md")]
pub mod kubernetes {}

#[doc = include_str!("../guide/lambda.md")]
pub mod lambda {}

#[doc = include_str!("../guide/proxies.md")]
pub mod proxies {}

#[doc = include_str!("../guide/review.md")]
pub mod review {}

#[doc = include_str!("../guide/rules.md")]
pub mod rules {}

#[doc = include_str!("../guide/servers.md")]
pub mod servers {}

#[doc = include_str!("../guide/streams.md")]
pub mod streams {}

#[cfg(feature = "testing")]
#[doc = include_str!("../guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../guide/workers.md")]
pub mod workers {}
