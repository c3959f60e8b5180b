//! Messages, as a handler enqueues them and as the relay publishes them.

use std::fmt;

use crate::EnqueueError;

/// The longest topic and the longest name of a header, in bytes.
const LONGEST_NAME: usize = 255;
/// The longest key, in bytes: an index of `PostgreSQL` takes no more than about 2,700.
const LONGEST_KEY: usize = 1024;

/// A message to be published after the transaction of its write has committed.
///
/// ```
/// use followthrough_outbox::Message;
///
/// let order = 17;
/// let message = Message::new("orders.placed", format!(r#"{{"order":{order}}}"#))
///     .key(format!("order-{order}"))
///     .header("content-type", "application/json");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(crate) topic: String,
    pub(crate) key: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    /// Creates a message without a key. `topic` is what the broker calls a subject, a routing key or a topic.
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.into(), key: None, headers: Vec::new(), payload: payload.into() }
    }

    /// Sets the key. Messages with one key are published in the order in which their transactions commit, whatever
    /// their topics are. Messages without a key have no order.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a header, such as `traceparent` or `content-type`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Returns why the message cannot be stored, if it cannot.
    pub(crate) fn check(&self) -> Result<(), EnqueueError> {
        let invalid = |reason: String| Err(EnqueueError::Invalid(reason));
        if self.topic.is_empty() || self.topic.len() > LONGEST_NAME {
            return invalid(format!("the topic has {} bytes: use 1 to 255", self.topic.len()));
        }
        if self.topic.chars().any(char::is_control) {
            return invalid(format!("the topic {:?} has control characters", self.topic));
        }
        if let Some(key) = &self.key {
            if key.is_empty() || key.len() > LONGEST_KEY {
                return invalid(format!(
                    "the key has {} bytes: use 1 to 1,024, or no key",
                    key.len()
                ));
            }
            if key.contains('\0') {
                return invalid(format!("the key {key:?} has a zero byte"));
            }
        }
        for (name, value) in &self.headers {
            let is_token = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
            if name.is_empty() || name.len() > LONGEST_NAME || !is_token {
                return invalid(format!(
                    "the header name {name:?} is not 1 to 255 visible ASCII characters without `:`"
                ));
            }
            if value.chars().any(char::is_control) {
                return invalid(format!("the value of the header `{name}` has control characters"));
            }
        }
        Ok(())
    }

    /// Returns the headers as lines of `name: value`, for the column of the table.
    pub(crate) fn header_lines(&self) -> String {
        self.headers.iter().flat_map(|(name, value)| [name, ": ", value, "\n"]).collect()
    }
}

/// Parses the lines of [`Message::header_lines`]. A line without a colon, which only an edit of the table can leave, is
/// skipped.
pub(crate) fn parse_header_lines(lines: &str) -> Vec<(String, String)> {
    let pairs = lines.lines().filter_map(|line| line.split_once(": "));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The identity of a stored message, a random UUID. The id is the same in each attempt to publish the message, so brokers
/// and consumers can recognise a repetition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(String);

impl MessageId {
    pub(crate) fn new(id: String) -> Self {
        Self(id)
    }

    /// Returns the UUID in lower case with hyphens.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message of the table, as a [`Publisher`](crate::Publisher) gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    pub(crate) number: i64,
    pub(crate) id: MessageId,
    pub(crate) topic: String,
    pub(crate) key: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
    pub(crate) attempt: u32,
}

impl StoredMessage {
    /// Creates the first attempt of a message with this identity, as row 1, for the tests of a
    /// [`Publisher`](crate::Publisher). A relay makes its own from the table.
    ///
    /// ```
    /// use followthrough_outbox::{Message, StoredMessage};
    ///
    /// let message = Message::new("orders.placed", "17").key("order-17");
    /// let message = StoredMessage::for_test("6a0bb2b4-0b8e-4ae9-8f0f-0a1e3c5d7f90", message);
    /// assert_eq!(message.key(), Some("order-17"));
    /// ```
    pub fn for_test(id: impl Into<String>, message: Message) -> Self {
        let Message { topic, key, headers, payload } = message;
        Self { number: 1, id: MessageId(id.into()), topic, key, headers, payload, attempt: 1 }
    }

    /// Returns the number of the row. Within one key, later messages have larger numbers.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Returns the identity, for the broker's deduplication and the consumer's inbox.
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    /// Returns the topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Returns the key, if the message has one.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns the headers, in their order.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the number of this attempt: 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}
