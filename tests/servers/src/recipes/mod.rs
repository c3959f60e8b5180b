//! The programs of the guide, `runtime/guide/servers.md`: the tests run them.

#![allow(clippy::missing_errors_doc, reason = "the guide explains them")]

pub mod axum_serve;
pub mod axum_server;
pub mod drain;
pub mod own_server;
pub mod tonic_server;
