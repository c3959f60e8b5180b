//! The kit for the tests of a user: a disconnect at every await, and a shutdown that the test drives. And every
//! statement form as a durable site.
//!
//! No server drains in this binary: its drain would look after the durable work of the sites, whose handlers are
//! called without a lifecycle.

mod cut_everywhere;
mod every_await;
mod every_await_of_odd_futures;
mod sites_2024;
mod test_lifecycle;
