//! The broker, as the relay sees it.

use std::fmt;

use crate::StoredMessage;

/// Publishes messages to a broker. The crate has no broker of its own: an implementation is a few lines over the
/// broker's client.
///
/// ```
/// use followthrough_outbox::{PublishError, Publisher, StoredMessage};
///
/// /// Prints each message.
/// struct Printer;
///
/// impl Publisher for Printer {
///     async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
///         println!("{} to {}: {:?}", message.id(), message.topic(), message.payload());
///         Ok(())
///     }
/// }
/// ```
pub trait Publisher: Send + Sync + 'static {
    /// Publishes one message. Returns `Ok` only after the broker has confirmed that it stores the message.
    ///
    /// The relay calls this for many keys at once, and for one key one message after the other. A call that panics, or
    /// takes longer than the relay's publish timeout, counts as [`PublishError::Later`].
    ///
    /// # Errors
    ///
    /// [`PublishError::Later`] if a later attempt may succeed, and [`PublishError::Never`] if none can.
    ///
    /// # Cancel safety
    ///
    /// The relay drops the future after the publish timeout and in the last moments of a shutdown. The message is
    /// published again, so a message that arrived nevertheless arrives twice.
    fn publish(
        &self,
        message: &StoredMessage,
    ) -> impl Future<Output = Result<(), PublishError>> + Send;
}

/// Why a broker did not take a message. The text is stored in the table and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// A later attempt may succeed: the broker is down, slow or full. The relay tries again after a pause.
    Later(String),
    /// No attempt can succeed: the payload is larger than the broker's limit, or nothing takes the topic. The relay
    /// parks the message at once.
    Never(String),
}

impl PublishError {
    /// Returns [`Later`](Self::Later) with the text of `reason`.
    pub fn later(reason: impl fmt::Display) -> Self {
        Self::Later(reason.to_string())
    }

    /// Returns [`Never`](Self::Never) with the text of `reason`.
    pub fn never(reason: impl fmt::Display) -> Self {
        Self::Never(reason.to_string())
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(reason) => write!(f, "not published yet: {reason}"),
            Self::Never(reason) => write!(f, "cannot be published: {reason}"),
        }
    }
}

impl std::error::Error for PublishError {}
