//! The statements of the store in `PostgreSQL`.
//!
//! `statement_timestamp()` is the clock, because `now()` is the start of the transaction. An index on
//! `expires_at` does not serve `clock_timestamp()`.

pub(super) const LOCK_MIGRATIONS: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('followthrough_keys', 0))";

/// Whether the migrations have run in the first schema of the `search_path`: they create this table last, in one
/// transaction. Another service may have its tables in a later schema.
pub(super) const IS_MIGRATED: &str = "
    SELECT to_regclass(quote_ident(current_schema()) || '.followthrough_lost_claims') IS NOT NULL";

pub(super) const LOOK: &str = "
    SELECT fingerprint, owner, epoch, runs_again, keep_ms, status, headers, body
    FROM followthrough_keys
    WHERE scope = $1 AND key = $2
        AND ($3 OR expires_at IS NULL OR expires_at > statement_timestamp())";

pub(super) const CLAIM: &str = "
    INSERT INTO followthrough_keys AS record
        (scope, key, fingerprint, handler, owner, epoch, runs_again, keep_ms, begun_at)
    VALUES ($1, $2, $3, $4, $5, 1, $6, $7, statement_timestamp())
    ON CONFLICT (scope, key) DO UPDATE SET
        fingerprint = excluded.fingerprint, handler = excluded.handler, owner = excluded.owner,
        epoch = record.epoch + 1, runs_again = excluded.runs_again, keep_ms = excluded.keep_ms,
        begun_at = excluded.begun_at, status = NULL, headers = NULL, body = NULL, expires_at = NULL
    WHERE record.status IS NOT NULL AND record.expires_at <= statement_timestamp()
    RETURNING epoch";

pub(super) const TAKE_OVER: &str = "
    UPDATE followthrough_keys SET
        fingerprint = $5, handler = $6, owner = $7, epoch = epoch + 1, runs_again = $8,
        keep_ms = $9, begun_at = statement_timestamp()
    WHERE scope = $1 AND key = $2 AND owner = $3 AND epoch = $4 AND status IS NULL
    RETURNING epoch";

/// Stores the answer, and notifies the processes that listen. Without one it does not notify, because `PostgreSQL`
/// commits the transactions that notify one after the other.
pub(super) const FINISH: &str = "
    WITH finished AS (
        UPDATE followthrough_keys SET
            status = $5, headers = $6, body = $7,
            expires_at = statement_timestamp() + $8 * interval '1 millisecond'
        WHERE scope = $1 AND key = $2 AND owner = $3 AND epoch = $4 AND status IS NULL
        RETURNING epoch
    )
    SELECT epoch, CASE WHEN EXISTS (SELECT FROM followthrough_owners WHERE listens)
        THEN pg_notify('followthrough_keys', $1 || '/' || $2) END
    FROM finished";

pub(super) const RELEASE: &str = "
    WITH released AS (
        DELETE FROM followthrough_keys
        WHERE scope = $1 AND key = $2 AND owner = $3 AND epoch = $4 AND status IS NULL
        RETURNING epoch
    )
    SELECT epoch, CASE WHEN EXISTS (SELECT FROM followthrough_owners WHERE listens)
        THEN pg_notify('followthrough_keys', $1 || '/' || $2) END
    FROM released";

/// Removes a batch of expired records, without those that another process removes or claims at the moment.
pub(super) const EXPIRE: &str = "
    WITH expired AS MATERIALIZED (
        SELECT scope, key FROM followthrough_keys
        WHERE status IS NOT NULL AND expires_at <= statement_timestamp()
        ORDER BY expires_at LIMIT $1
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM followthrough_keys record USING expired
    WHERE record.scope = expired.scope AND record.key = expired.key";

/// Removes the heartbeats of processes that died a day ago and have begun nothing.
pub(super) const FORGET_OWNERS: &str = "
    DELETE FROM followthrough_owners AS dead
    WHERE beat_at < statement_timestamp() - interval '1 day'
        AND NOT EXISTS (
            SELECT FROM followthrough_keys AS record
            WHERE record.owner = dead.owner AND record.expires_at IS NULL
        )";

pub(super) const BEAT: &str = "
    WITH mine AS (
        INSERT INTO followthrough_owners AS beat (owner, beats, beat_at, listens)
        VALUES ($1, 1, statement_timestamp(), $2)
        ON CONFLICT (owner) DO UPDATE SET
            beats = beat.beats + 1, beat_at = excluded.beat_at, listens = excluded.listens
        RETURNING owner, beats
    )
    SELECT owner, beats FROM mine
    UNION ALL
    SELECT owner, beats FROM followthrough_owners WHERE owner <> $1";

pub(super) const RETIRE: &str = "DELETE FROM followthrough_owners WHERE owner = $1";

pub(super) const IS_BEGUN: &str = "
    SELECT 1 FROM followthrough_keys WHERE scope = $1 AND key = $2 AND status IS NULL";

pub(super) const CHANNEL: &str = "followthrough_keys";
