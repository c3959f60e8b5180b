//! Brokers that the tests start.
//!
//! Each server comes from Debian's package, and has a private directory and ports of loopback. A shell script holds the
//! server and ends it when its standard input closes, so the server ends with the process that started it.

mod nats;
mod rabbitmq;
mod script;

pub use nats::{Nats, Settings as NatsSettings};
pub use rabbitmq::RabbitMq;
