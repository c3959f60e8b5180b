-- The tables of followthrough's outbox, for PostgreSQL 13 or newer.
--
-- A message is *in line* from its commit until it is sent, dropped or parked alone. The *head* of a key is its
-- message in line with the smallest number. Relays lease heads, and messages without a key.

-- One row for each message.
CREATE TABLE IF NOT EXISTS followthrough_outbox (
    -- The order within a key: a message is numbered after the earlier ones of its key have committed.
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The identity that brokers and consumers see. The id is the same in each attempt.
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- The broker's subject, routing key or topic.
    topic text NOT NULL,
    -- Messages with the same key are published in order. Messages with a null key have no order.
    key text COLLATE "C",
    -- Lines of `name: value`.
    headers text NOT NULL DEFAULT '',
    payload bytea NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- Whether the message is in line.
    in_line boolean NOT NULL DEFAULT true,
    -- The earliest time of the next lease: the end of the current lease, or of the pause after a failed attempt.
    due_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- The relay that leased the message. Its result sets null; a relay that died leaves its name. Only the first message
    -- of a run is leased, so later messages of the key are null while they are published.
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

-- Finds the parked messages.
CREATE INDEX IF NOT EXISTS followthrough_outbox_parked
    ON followthrough_outbox (parked_at) WHERE parked_at IS NOT NULL;

-- Finds the sent messages, to remove them.
CREATE INDEX IF NOT EXISTS followthrough_outbox_sent
    ON followthrough_outbox (sent_at) WHERE sent_at IS NOT NULL;

-- The relays that wait for messages. `enqueue` notifies only if there is a row, because PostgreSQL commits notifying
-- transactions one after the other.
CREATE TABLE IF NOT EXISTS followthrough_outbox_relays (
    relay text PRIMARY KEY,
    waits_since timestamptz NOT NULL
);
