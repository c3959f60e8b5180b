//! The test kit: a disconnect at every await, a shutdown that the test drives, and every statement
//! form as a durable site.
//!
//! No server drains in this binary, because its drain would wait for the durable work of the sites,
//! whose handlers are called without a lifecycle.

mod cut_everywhere;
mod every_await;
mod every_await_of_odd_futures;
mod sites_2024;
mod test_lifecycle;
