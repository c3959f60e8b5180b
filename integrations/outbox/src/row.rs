//! The columns of `followthrough_outbox`, in the types that both databases have.

use std::time::Duration;

use crate::{MessageId, StoredMessage, message::parse_header_lines, outbox::Run};

/// The longest time of a column: 100 years, which both databases can add to their clocks.
const LONGEST_MICROS: u128 = 100 * 366 * 24 * 3600 * 1_000_000;

/// Returns a time as a column, rounded up to a whole microsecond.
pub(crate) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_nanos().div_ceil(1000).min(LONGEST_MICROS)).unwrap_or(i64::MAX)
}

/// Returns the time of a column. An edited time that is negative is zero.
pub(crate) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// Returns a count of a column. An edited count that is negative is zero.
pub(crate) fn count(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

/// Returns the attempts of a column.
pub(crate) fn attempts(column: i64) -> u32 {
    u32::try_from(column.max(0)).unwrap_or(u32::MAX)
}

/// Returns attempts as a column.
pub(crate) fn integer(attempts: u32) -> i32 {
    i32::try_from(attempts).unwrap_or(i32::MAX)
}

/// A message as a lease reads it.
pub(crate) struct LeasedRow {
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) topic: String,
    pub(crate) key: Option<String>,
    pub(crate) headers: String,
    pub(crate) payload: Vec<u8>,
    /// The attempts, with the one that begins.
    pub(crate) attempts: i64,
    /// Whether the message is neither parked nor paused.
    pub(crate) may_go: bool,
}

/// Groups rows to runs. The rows of a key follow one another in the order of their numbers. A run ends before a message
/// that may not go, because the messages after it must wait as well.
pub(crate) fn runs(rows: impl IntoIterator<Item = LeasedRow>) -> Vec<Run> {
    let mut runs = Vec::<Run>::new();
    let mut held = None;
    for row in rows {
        if row.key.is_some() && held == row.key {
            continue;
        }
        if !row.may_go {
            held = row.key;
            continue;
        }
        let message = StoredMessage {
            number: row.number,
            id: MessageId::new(row.id),
            topic: row.topic,
            key: row.key,
            headers: parse_header_lines(&row.headers),
            payload: row.payload,
            attempt: attempts(row.attempts),
        };
        match runs.last_mut() {
            Some(run) if message.key.is_some() && run.messages[0].key == message.key => {
                run.messages.push(message);
            }
            _ => runs.push(Run { messages: vec![message] }),
        }
    }
    runs
}
