//! The statements of the outbox in `SQLite`.

/// The milliseconds since 1970. `unixepoch('subsec')` needs `SQLite` 3.42.
macro_rules! now {
    () => {
        "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
    };
}

/// Reads the heads that are due, of the keys that `$bound` admits. Each step of the recursion seeks the next key in the
/// index, so the number of messages behind the heads does not matter.
macro_rules! heads {
    ($bound:literal, $next:literal) => {
        concat!(
            "WITH RECURSIVE keys (key) AS (
                SELECT min(key) FROM followthrough_outbox
                WHERE in_line AND key IS NOT NULL AND ",
            $bound,
            " UNION ALL
                SELECT (
                    SELECT min(later.key) FROM followthrough_outbox AS later
                    WHERE later.in_line AND later.key IS NOT NULL AND ",
            $next,
            ")
                FROM keys WHERE keys.key IS NOT NULL
            )
            SELECT head.number
            FROM keys CROSS JOIN followthrough_outbox AS head ON head.number = (
                SELECT min(first.number) FROM followthrough_outbox AS first
                WHERE first.in_line AND first.key IS NOT NULL AND first.key = keys.key
            )
            WHERE head.parked_at IS NULL AND head.number <= ?2 AND head.attempts <= ?4 AND head.due_at <= ",
            now!(),
            " LIMIT ?3"
        )
    };
}

/// The columns and the indexes that the table lacks, if there is one.
pub(super) const MISSING: &str = "
    WITH used (name) AS (VALUES
        ('number'), ('id'), ('topic'), ('key'), ('headers'), ('payload'), ('enqueued_at'), ('in_line'), ('due_at'),
        ('leased_by'), ('attempts'), ('reason'), ('parked_at'), ('sent_at')
    ), seeks (name) AS (VALUES
        ('followthrough_outbox_keys'), ('followthrough_outbox_due'), ('followthrough_outbox_waiting'),
        ('followthrough_outbox_parked'), ('followthrough_outbox_sent')
    ), columns (name) AS (SELECT name FROM pragma_table_info('followthrough_outbox'))
    SELECT 'column `' || name || '`' FROM used
    WHERE name NOT IN (SELECT name FROM columns) AND EXISTS (SELECT 1 FROM columns)
    UNION ALL
    SELECT 'index `' || name || '`' FROM seeks
    WHERE name NOT IN (SELECT name FROM pragma_index_list('followthrough_outbox'))
        AND EXISTS (SELECT 1 FROM columns)";

pub(super) const INSERT: &str = "
    INSERT INTO followthrough_outbox (topic, key, headers, payload) VALUES (?1, ?2, ?3, ?4)
    RETURNING id";

/// Heads of all keys.
pub(super) const HEADS: &str = heads!("?1 = ''", "later.key > keys.key");

/// Heads of the keys after ?1.
pub(super) const HEADS_AFTER: &str = heads!("key > ?1", "later.key > keys.key");

/// Heads of the keys up to ?1.
pub(super) const HEADS_UP_TO: &str =
    heads!("key <= ?1", "later.key > keys.key AND later.key <= ?1");

pub(super) const WITHOUT_KEY: &str = concat!(
    "SELECT number FROM followthrough_outbox
    WHERE in_line AND key IS NULL AND parked_at IS NULL AND number <= ?1 AND attempts <= ?3
        AND due_at <= ",
    now!(),
    " ORDER BY due_at, number LIMIT ?2"
);

/// Leases the messages of the JSON array ?1.
pub(super) const LEASE: &str = concat!(
    "UPDATE followthrough_outbox
    SET due_at = ?2 + ",
    now!(),
    ", leased_by = ?3, attempts = attempts + 1
    WHERE number IN (SELECT value FROM json_each(?1))
    RETURNING number, id, topic, key, headers, payload, attempts"
);

/// The messages behind the heads of the JSON array ?1, up to ?2 and 64 KiB for each. `fresh` is 0 for one that ends the run: it
/// is parked or was tried before.
pub(super) const FOLLOWERS: &str = concat!(
    "SELECT * FROM (SELECT message.number, message.id, message.topic, message.key, message.headers,
        message.payload, message.attempts + 1 AS attempts,
        message.parked_at IS NULL AND message.attempts = 0 AND message.due_at <= ",
    now!(),
    " AS fresh, sum(length(message.payload)) OVER (PARTITION BY message.key ORDER BY message.number) AS bytes
    FROM json_each(?1) AS wanted
    CROSS JOIN followthrough_outbox AS head ON head.number = wanted.value
    CROSS JOIN followthrough_outbox AS message ON message.number IN (
        SELECT later.number FROM followthrough_outbox AS later
        WHERE later.in_line AND later.key IS NOT NULL
            AND later.key = head.key AND later.number > head.number
        ORDER BY later.number LIMIT ?2
    )
    ) WHERE bytes <= 65536 ORDER BY key, number"
);

pub(super) const SENT: &str = concat!(
    "UPDATE followthrough_outbox
    SET in_line = 0, parked_at = NULL, reason = NULL, sent_at = ",
    now!(),
    " WHERE number IN (SELECT value FROM json_each(?1)) AND sent_at IS NULL"
);

pub(super) const FORGET: &str =
    "DELETE FROM followthrough_outbox WHERE number IN (SELECT value FROM json_each(?1))";

/// Changes only heads: the other messages of a run were never leased. So a repetition changes nothing.
pub(super) const RELEASE: &str = concat!(
    "UPDATE followthrough_outbox
    SET due_at = ",
    now!(),
    ", leased_by = NULL, attempts = max(attempts - 1, 0)
    WHERE number IN (SELECT value FROM json_each(?1))
        AND in_line AND parked_at IS NULL AND leased_by = ?2"
);

pub(super) const LATER: &str = concat!(
    "UPDATE followthrough_outbox
    SET due_at = ?3 + ",
    now!(),
    ", leased_by = ?2, attempts = ?4, reason = ?5
    WHERE number = ?1 AND in_line AND parked_at IS NULL AND (leased_by = ?2 OR leased_by IS NULL)"
);

pub(super) const NEVER: &str = concat!(
    "UPDATE followthrough_outbox
    SET parked_at = ",
    now!(),
    ", leased_by = ?2, attempts = ?3, reason = ?4, in_line = (?5 AND key IS NOT NULL)
    WHERE number = ?1 AND in_line AND parked_at IS NULL AND (leased_by = ?2 OR leased_by IS NULL)"
);

pub(super) const LAST_NUMBER: &str = "SELECT coalesce(max(number), 0) FROM followthrough_outbox";

/// Reads before `PURGE` writes, so that a relay with nothing to remove takes no lock for writes.
pub(super) const OLD: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM followthrough_outbox
    WHERE sent_at IS NOT NULL AND sent_at <= ",
    now!(),
    " - ?1)"
);

pub(super) const PURGE: &str = concat!(
    "DELETE FROM followthrough_outbox WHERE number IN (
        SELECT number FROM followthrough_outbox
        WHERE sent_at IS NOT NULL AND sent_at <= ",
    now!(),
    " - ?1 ORDER BY sent_at LIMIT ?2)"
);

pub(super) const BACKLOG: &str = concat!(
    "SELECT count(*),
        (SELECT count(*) FROM followthrough_outbox WHERE parked_at IS NOT NULL),
        max(0, ",
    now!(),
    " - min(enqueued_at))
    FROM followthrough_outbox WHERE in_line AND parked_at IS NULL"
);

pub(super) const PARKED: &str = concat!(
    "SELECT number, id, topic, key, in_line, attempts, coalesce(reason, ''),
        max(0, ",
    now!(),
    " - parked_at), length(payload)
    FROM followthrough_outbox WHERE parked_at IS NOT NULL ORDER BY parked_at, number LIMIT ?1"
);

pub(super) const RETRY: &str = concat!(
    "UPDATE followthrough_outbox
    SET in_line = 1, parked_at = NULL, leased_by = NULL, attempts = 0, reason = NULL, due_at = ",
    now!(),
    " WHERE number = ?1 AND parked_at IS NOT NULL"
);

pub(super) const DROP_PARKED: &str =
    "DELETE FROM followthrough_outbox WHERE number = ?1 AND parked_at IS NOT NULL";
