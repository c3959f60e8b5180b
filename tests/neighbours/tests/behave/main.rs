//! Policies beside the layers and libraries that stand next to axum: one file for each of them.
//!
//! The page `runtime/guide/layers.md` names these tests.

mod app;
mod attributes;
mod buffer;
mod catch_panic;
mod compression;
mod concurrency_limit;
mod cors;
mod load_shed;
mod normalize_path;
mod page;
mod request_id;
mod retry;
mod sessions;
mod stack;
mod test_server;
mod timeout;
mod trace;
mod typed_path;
