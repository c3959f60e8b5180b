//! Publishers for the outbox, one file a broker, to copy into a service.
//!
//! [`inbox`] is the consumer's side, and [`direct`] has handlers that call a broker without an outbox. The README has the
//! table of the brokers.

pub mod direct;
pub mod inbox;
pub mod kafka;
pub mod nats;
pub mod rabbitmq;

/// The header with the key of a message.
pub const KEY_HEADER: &str = "message-key";
