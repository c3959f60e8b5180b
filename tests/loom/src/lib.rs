//! Loom models of everything in the runtime that two threads touch.
//!
//! The files under test are the runtime's own, included by path. They take what threads share
//! from `crate::sync`, which here is made of [loom](https://docs.rs/loom)'s types: a model then
//! runs in every order, and with every value that a load may see, that the memory model allows.
//! What the files need besides, such as a policy's name, is stood in for by plain data.
//!
//! `cfg(loom)` is not used: tokio changes itself under it, and hyper does not build with that.
//!
//! Loom takes a `SeqCst` load or store for an acquiring or releasing one, and models `SeqCst` fences
//! and the one order of changes of each atomic in full. The runtime rests on those two alone.

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
mod link;
mod models;
mod service;
mod sync;
