-- The table of followthrough's outbox, for SQLite 3.38 or newer.
--
-- A message is *in line* from its commit until it is sent, dropped or parked alone. The *head* of a key is its
-- message in line with the smallest number. Relays lease heads, and messages without a key.

-- One row for each message. Times are milliseconds since 1970, in UTC. SQLite reads a row up to the last column that a
-- statement names, so the payload comes last.
CREATE TABLE IF NOT EXISTS followthrough_outbox (
    -- The order within a key, because one transaction writes at a time. AUTOINCREMENT never uses the number of a removed
    -- message again.
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The identity that brokers and consumers see, a random UUID. The id is the same in each attempt.
    id TEXT NOT NULL DEFAULT (lower(
        hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-'
        || substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))
    )),
    -- The broker's subject, routing key or topic.
    topic TEXT NOT NULL,
    -- Messages with the same key are published in order. Messages with a null key have no order.
    key TEXT,
    -- Lines of `name: value`.
    headers TEXT NOT NULL DEFAULT '',
    enqueued_at INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    -- 1 if the message is in line, else 0.
    in_line INTEGER NOT NULL DEFAULT 1,
    -- The earliest time of the next lease: the end of the current lease, or of the pause after a failed attempt.
    due_at INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    -- The relay that last leased the message or stored its failure. The name stays when the message is sent. Null: no
    -- relay has done so since the message was enqueued, released or retried.
    leased_by TEXT,
    -- How often a relay has tried to publish the message.
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Why the last attempt failed.
    reason TEXT,
    -- When the message was parked. A parked message that is in line holds its key.
    parked_at INTEGER,
    -- When the broker confirmed the message.
    sent_at INTEGER,
    payload BLOB NOT NULL
) STRICT;

-- Finds the heads of the keys.
CREATE INDEX IF NOT EXISTS followthrough_outbox_keys
    ON followthrough_outbox (key, number) WHERE in_line AND key IS NOT NULL;

-- Finds the messages without a key that are due.
CREATE INDEX IF NOT EXISTS followthrough_outbox_due
    ON followthrough_outbox (due_at, number) WHERE in_line AND key IS NULL AND parked_at IS NULL;

-- Counts the messages that wait, and finds the oldest. The two other columns are here so that the rows are not read.
CREATE INDEX IF NOT EXISTS followthrough_outbox_waiting
    ON followthrough_outbox (enqueued_at, in_line, parked_at) WHERE in_line AND parked_at IS NULL;

-- Finds the parked messages.
CREATE INDEX IF NOT EXISTS followthrough_outbox_parked
    ON followthrough_outbox (parked_at) WHERE parked_at IS NOT NULL;

-- Finds the sent messages, to remove them.
CREATE INDEX IF NOT EXISTS followthrough_outbox_sent
    ON followthrough_outbox (sent_at) WHERE sent_at IS NOT NULL;
