-- The tables of followthrough's outbox, for PostgreSQL 13 or newer.
--
-- A message is *in line* from its commit until it is sent, dropped or parked alone. The message of a key that is in
-- line with the smallest number is the head of the key. Relays lease heads only.

-- One row for each message.
CREATE TABLE IF NOT EXISTS followthrough_outbox (
    -- The order within a key: a message is numbered after the earlier ones of its key have committed.
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The identity that brokers and consumers see. It is the same in each attempt.
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- The broker's subject, routing key or topic.
    topic text NOT NULL,
    -- Messages with one key are published in order. Null: without an order.
    key text COLLATE "C",
    -- Lines of `name: value`.
    headers text NOT NULL DEFAULT '',
    payload bytea NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- Whether the message is in line.
    in_line boolean NOT NULL DEFAULT true,
    -- No relay leases the message before: the end of a lease, or of the pause after a failed attempt.
    due_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- The relay that holds the lease, for people who read the table. Null: none has tried the message since it was released.
    leased_by text,
    -- How often a relay has tried to publish the message.
    attempts integer NOT NULL DEFAULT 0,
    -- Why the last attempt failed.
    reason text,
    -- When the message was parked. A parked message that is in line holds its key.
    parked_at timestamptz,
    -- When the broker confirmed the message.
    sent_at timestamptz
);

-- Finds the heads of the keys.
CREATE INDEX IF NOT EXISTS followthrough_outbox_keys
    ON followthrough_outbox (key, number) WHERE in_line AND key IS NOT NULL;

-- Finds the messages without a key that are due.
CREATE INDEX IF NOT EXISTS followthrough_outbox_due
    ON followthrough_outbox (due_at, number) WHERE in_line AND key IS NULL AND parked_at IS NULL;

-- Finds what was parked.
CREATE INDEX IF NOT EXISTS followthrough_outbox_parked
    ON followthrough_outbox (parked_at) WHERE parked_at IS NOT NULL;

-- Finds what can be removed.
CREATE INDEX IF NOT EXISTS followthrough_outbox_sent
    ON followthrough_outbox (sent_at) WHERE sent_at IS NOT NULL;

-- One row for each relay that waits for messages. Only then does a transaction notify, because PostgreSQL commits the
-- transactions that notify one after the other.
CREATE TABLE IF NOT EXISTS followthrough_outbox_relays (
    relay text PRIMARY KEY,
    waits_since timestamptz NOT NULL
);
