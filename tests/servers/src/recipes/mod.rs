//! The programs of `runtime/guide/servers.md`, which the tests run.

#![allow(clippy::missing_errors_doc, reason = "the guide explains them")]

pub mod axum_serve;
pub mod axum_server;
pub mod drain;
pub mod own_server;
pub mod tonic_server;
