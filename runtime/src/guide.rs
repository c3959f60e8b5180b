//! Longer answers, a page each.

#![allow(rustdoc::invalid_rust_codeblocks, reason = "pages show configuration files as well")]

#[doc = include_str!("../guide/kubernetes.md")]
pub mod kubernetes {}

#[doc = include_str!("../guide/streams.md")]
pub mod streams {}
