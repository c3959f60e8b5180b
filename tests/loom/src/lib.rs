//! Loom models of all runtime state that two threads share.
//!
//! The files under test are the runtime's own, included by path. They take their atomics and locks
//! from `crate::sync`, which consists of [loom](https://docs.rs/loom)'s types here. So a model runs
//! in every order, and with every value of each load, that the memory model allows. Plain data
//! replaces their other imports, such as the name of a policy.
//!
//! The models do not set `cfg(loom)`, because tokio changes under it and hyper does not build with
//! that tokio.
//!
//! Loom weakens `SeqCst` loads and stores to acquire and release. Loom models `SeqCst` fences and the
//! modification order of each atomic in full. The runtime relies on those two alone.

#![cfg(test)]
#![expect(
    dead_code,
    unreachable_pub,
    clippy::trivially_copy_pass_by_ref,
    reason = "the runtime's files are public there, and hold more than a model uses"
)]

mod cancellation;
#[path = "../../../runtime/src/cause.rs"]
mod cause;
mod connection;
#[path = "../../../runtime/src/count.rs"]
mod count;
mod handler;
mod handler_policy;
mod idempotency;
mod link;
mod models;
#[path = "../../../runtime/src/seconds.rs"]
mod seconds;
#[path = "../../../runtime/src/serialize.rs"]
mod serialize;
mod service;
mod sync;
