-- The tables of followthrough's idempotency keys, for SQLite 3.37 or newer.
--
-- A retry of an unknown write is answered 409 until an operator decides. If the write did not land, delete its row,
-- so that the next retry runs it. If it landed, set `status`, `headers` and `body` to its answer, and `expires_at`.

-- One row for each key that has begun a write. Times are milliseconds since 1970, in UTC.
CREATE TABLE IF NOT EXISTS followthrough_keys (
    -- A hash of the principal, so that the keys of two clients never meet.
    scope TEXT NOT NULL,
    -- The `Idempotency-Key` that the client sent.
    key TEXT NOT NULL,
    -- The SHA-256 hash of the request. A retry with another request is refused.
    fingerprint BLOB NOT NULL,
    -- The name of the handler, for people who read the table.
    handler TEXT NOT NULL,
    -- The process that holds the row. A live process has a row in `followthrough_owners`.
    owner TEXT NOT NULL,
    -- The number of the claim. Owner and epoch are the fence: a process that lost the row cannot finish it.
    epoch INTEGER NOT NULL,
    -- 1 if another process may run the write again after its process has died, else 0.
    runs_again INTEGER NOT NULL,
    -- How long the row is kept after the end of the write, in milliseconds.
    keep_ms INTEGER NOT NULL,
    -- When the write began.
    begun_at INTEGER NOT NULL,
    -- The status of the answer. Null until the write has ended.
    status INTEGER,
    -- The headers of the answer, as lines of `name: value`. Null until the write has ended.
    headers TEXT,
    -- The body of the answer. Null until the write has ended.
    body BLOB,
    -- When the row expires. Null until the write has ended, because a begun row never expires.
    expires_at INTEGER,
    PRIMARY KEY (scope, key),
    CONSTRAINT followthrough_keys_begun_or_finished
        CHECK ((status IS NULL) + (headers IS NULL) + (body IS NULL) + (expires_at IS NULL) IN (0, 4))
) STRICT;

-- Finds the rows to remove.
CREATE INDEX IF NOT EXISTS followthrough_keys_expires_at
    ON followthrough_keys (expires_at) WHERE expires_at IS NOT NULL;

-- Finds what a process has begun and not finished.
CREATE INDEX IF NOT EXISTS followthrough_keys_begun
    ON followthrough_keys (owner) WHERE expires_at IS NULL;

-- One row for each process. A process whose `beats` stand still is dead.
CREATE TABLE IF NOT EXISTS followthrough_owners (
    -- The process: its number, and random digits.
    owner TEXT NOT NULL PRIMARY KEY,
    -- How many heartbeats the process has written.
    beats INTEGER NOT NULL,
    -- When the process wrote the last one. Only the removal of old rows reads this.
    beat_at INTEGER NOT NULL
) STRICT;

-- Always empty. A transaction whose claim is lost inserts a row, and its commit fails, because no row can have the id 0.
CREATE TABLE IF NOT EXISTS followthrough_lost_claims (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    never INTEGER NOT NULL DEFAULT 0 CHECK (never = 0),
    CONSTRAINT followthrough_the_claim_of_the_key_is_lost
        FOREIGN KEY (never) REFERENCES followthrough_lost_claims (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
