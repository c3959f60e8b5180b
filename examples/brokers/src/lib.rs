//! Publishers for the outbox, one file a broker, to copy into a service.
//!
//! [`nats`] is the publisher for NATS `JetStream`. The README has the table of the brokers.

pub mod nats;

/// The header with the key of a message.
pub const KEY_HEADER: &str = "message-key";
