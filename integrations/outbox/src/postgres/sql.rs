//! The statements of the outbox in `PostgreSQL`.
//!
//! `statement_timestamp()` is the clock, because `now()` is the start of the transaction, and an index on `due_at` does
//! not serve `clock_timestamp()`.

pub(super) const CHANNEL: &str = "followthrough_outbox";

pub(super) const LOCK_MIGRATIONS: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('followthrough_outbox', 0))";

/// Returns a table that exists and a column or an index that it lacks.
pub(super) const MISSING: &str = "
    SELECT used.relation, 'column `' || used.name || '` of the type `' || used.type || '`'
    FROM (VALUES
        ('followthrough_outbox', 'number', 'bigint'), ('followthrough_outbox', 'id', 'uuid'),
        ('followthrough_outbox', 'topic', 'text'), ('followthrough_outbox', 'key', 'text'),
        ('followthrough_outbox', 'headers', 'text'), ('followthrough_outbox', 'payload', 'bytea'),
        ('followthrough_outbox', 'enqueued_at', 'timestamp with time zone'),
        ('followthrough_outbox', 'in_line', 'boolean'),
        ('followthrough_outbox', 'due_at', 'timestamp with time zone'),
        ('followthrough_outbox', 'leased_by', 'text'), ('followthrough_outbox', 'attempts', 'integer'),
        ('followthrough_outbox', 'reason', 'text'),
        ('followthrough_outbox', 'parked_at', 'timestamp with time zone'),
        ('followthrough_outbox', 'sent_at', 'timestamp with time zone'),
        ('followthrough_outbox_relays', 'relay', 'text'),
        ('followthrough_outbox_relays', 'waits_since', 'timestamp with time zone')
    ) AS used (relation, name, type)
    WHERE to_regclass(used.relation) IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass(used.relation) AND attname = used.name
            AND format_type(atttypid, NULL) = used.type AND NOT attisdropped
    )
    UNION ALL
    SELECT 'followthrough_outbox', 'index `' || used.name || '`'
    FROM unnest(ARRAY[
        'followthrough_outbox_keys', 'followthrough_outbox_due', 'followthrough_outbox_parked',
        'followthrough_outbox_sent', 'followthrough_outbox_pkey'
    ]) AS used (name)
    WHERE to_regclass('followthrough_outbox') IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_index
        WHERE indrelid = to_regclass('followthrough_outbox') AND indexrelid = to_regclass(used.name)
            AND indisvalid
    )
    LIMIT 1";

/// Whether the migrations have run in the first schema of the `search_path`: they create these objects first and last, in
/// one transaction. Another service may have its outbox in a later schema.
pub(super) const IS_MIGRATED: &str = "
    SELECT count(to_regclass(quote_ident(current_schema()) || '.' || name)) = 3
    FROM unnest(ARRAY[
        'followthrough_outbox', 'followthrough_outbox_sent', 'followthrough_outbox_relays'
    ]) AS created (name)";

/// Begins a transaction whose statements read the table by its indexes in their order. The server caches
/// a plan for each connection, and a plan from an empty table would scan a whole backlog. `jit` is off, because these settings
/// raise the estimated costs above its threshold. `force_generic_plan` saves the first five plannings of each statement on a
/// connection, which take longer than the statement.
pub(super) const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off;
    SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan";

/// Stores a message. The lock on its key is taken before `number` is assigned, because the row of `turn` is the input of
/// the `INSERT`. The lock ends after the commit has become visible.
pub(super) const INSERT: &str = "
    WITH turn AS MATERIALIZED (
        SELECT CASE WHEN $2::text IS NOT NULL THEN
            pg_advisory_xact_lock(hashtextextended('followthrough_outbox/' || $2, 0)) END AS taken
    ), stored AS (
        INSERT INTO followthrough_outbox (topic, key, headers, payload)
        SELECT $1, $2, $3, $4 FROM turn
        RETURNING id
    )
    SELECT id::text, CASE WHEN EXISTS (SELECT FROM followthrough_outbox_relays)
        THEN pg_notify('followthrough_outbox', '') END
    FROM stored";

/// Leases heads and messages without a key, and reads their runs.
///
/// A run has at most 100 messages, and at most 64 KiB of payload behind its head.
///
/// `alone` takes messages without a key for half of the runs, `heads` takes heads for the other runs, and `more` takes
/// messages without a key for the runs that are left.
///
/// `later_keys` and `earlier_keys` jump from head to head: each step reads one row of the index, and no step is made
/// after `heads` has enough. A head is locked by its number, so that the server looks at its newest version again.
///
/// A relay that has runs needs no notifications, so its row of `followthrough_outbox_relays` goes.
pub(super) const LEASE: &str = "
    WITH RECURSIVE alone AS MATERIALIZED (
        SELECT number, due_at FROM followthrough_outbox
        WHERE in_line AND key IS NULL AND parked_at IS NULL
            AND due_at <= statement_timestamp() AND number <= $5 AND attempts <= $7
        ORDER BY due_at, number LIMIT $8
        FOR UPDATE SKIP LOCKED
    ), later_keys AS (
        (SELECT key, number, due_at, parked_at, attempts FROM followthrough_outbox
        WHERE in_line AND key IS NOT NULL AND key > $4
        ORDER BY key, number LIMIT 1)
        UNION ALL
        SELECT next.* FROM later_keys AS last CROSS JOIN LATERAL (
            SELECT key, number, due_at, parked_at, attempts FROM followthrough_outbox
            WHERE in_line AND key IS NOT NULL AND key > last.key
            ORDER BY key, number LIMIT 1
        ) AS next
    ), earlier_keys AS (
        (SELECT key, number, due_at, parked_at, attempts FROM followthrough_outbox
        WHERE in_line AND key IS NOT NULL AND key <= $4
        ORDER BY key, number LIMIT 1)
        UNION ALL
        SELECT next.* FROM earlier_keys AS last CROSS JOIN LATERAL (
            SELECT key, number, due_at, parked_at, attempts FROM followthrough_outbox
            WHERE in_line AND key IS NOT NULL AND key > last.key AND key <= $4
            ORDER BY key, number LIMIT 1
        ) AS next
    ), heads AS MATERIALIZED (
        SELECT head.number
        FROM (SELECT * FROM later_keys UNION ALL SELECT * FROM earlier_keys) AS seen
        CROSS JOIN LATERAL (
            SELECT number FROM followthrough_outbox
            WHERE number = seen.number AND in_line AND parked_at IS NULL
                AND due_at <= statement_timestamp()
            FOR UPDATE SKIP LOCKED
        ) AS head
        WHERE seen.parked_at IS NULL AND seen.due_at <= statement_timestamp() AND seen.number <= $5
            AND seen.attempts <= $7
        LIMIT $2 - (SELECT count(*) FROM alone)
    ), more AS MATERIALIZED (
        SELECT number FROM followthrough_outbox
        WHERE in_line AND key IS NULL AND parked_at IS NULL
            AND due_at <= statement_timestamp() AND number <= $5 AND attempts <= $7
            AND (due_at, number) > (
                coalesce((SELECT max(due_at) FROM alone), '-infinity'),
                coalesce((SELECT number FROM alone ORDER BY due_at DESC, number DESC LIMIT 1), 0)
            )
        ORDER BY due_at, number
        LIMIT $2 - (SELECT count(*) FROM alone) - (SELECT count(*) FROM heads)
        FOR UPDATE SKIP LOCKED
    ), leased AS (
        UPDATE followthrough_outbox SET
            due_at = statement_timestamp() + $6 * interval '1 microsecond', leased_by = $1,
            attempts = attempts + 1
        WHERE number = ANY (ARRAY(
            SELECT number FROM alone UNION ALL SELECT number FROM heads
            UNION ALL SELECT number FROM more
        ))
        RETURNING number, id, topic, key, headers, payload, attempts
    ), busy AS (
        DELETE FROM followthrough_outbox_relays
        WHERE relay = $1 AND EXISTS (SELECT FROM leased)
    ), run_length AS (
        SELECT least(greatest($3 / greatest(count(*), 1), 1), 100) AS messages FROM leased
    )
    SELECT number, id::text, topic, key, headers, payload, attempts, may_go FROM (
        SELECT number, id, topic, key, headers, payload, attempts, true AS may_go FROM leased
        UNION ALL
        SELECT next.* FROM leased CROSS JOIN LATERAL (
            SELECT number, id, topic, key, headers, payload, attempts + 1, may_go FROM (
                SELECT *, parked_at IS NULL AND due_at <= statement_timestamp() AS may_go,
                    sum(octet_length(payload)) OVER (ORDER BY key, number) AS bytes
                FROM followthrough_outbox
                WHERE in_line AND key IS NOT NULL AND (key, number) > (leased.key, leased.number)
                    AND key <= leased.key
                ORDER BY key, number LIMIT (SELECT messages - 1 FROM run_length)
            ) AS behind
            WHERE bytes <= 65536
        ) AS next
        WHERE leased.attempts = 1
    ) AS message
    ORDER BY key IS NULL, key <= $4, key, number";

pub(super) const SENT: &str = "
    UPDATE followthrough_outbox SET
        sent_at = statement_timestamp(), in_line = false, leased_by = NULL, parked_at = NULL
    WHERE number = ANY ($1) AND sent_at IS NULL";

pub(super) const FORGET: &str = "DELETE FROM followthrough_outbox WHERE number = ANY ($1)";

/// Ends leases. Only heads are leased, so the other messages of a run need no change.
pub(super) const RELEASED: &str = "
    UPDATE followthrough_outbox SET
        due_at = statement_timestamp(), leased_by = NULL, attempts = greatest(attempts - 1, 0)
    WHERE number = ANY ($2) AND in_line AND leased_by = $1";

pub(super) const LATER: &str = "
    UPDATE followthrough_outbox AS message SET
        due_at = statement_timestamp() + result.pause * interval '1 microsecond', leased_by = NULL,
        attempts = result.attempts, reason = result.reason
    FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::bigint[])
        AS result (number, attempts, reason, pause)
    WHERE message.number = result.number AND message.in_line
        AND (message.leased_by = $1 OR message.leased_by IS NULL AND message.parked_at IS NULL)";

pub(super) const NEVER: &str = "
    UPDATE followthrough_outbox AS message SET
        parked_at = statement_timestamp(), leased_by = NULL, attempts = result.attempts,
        reason = result.reason, in_line = result.holds_key AND message.key IS NOT NULL
    FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::boolean[])
        AS result (number, attempts, reason, holds_key)
    WHERE message.number = result.number AND message.in_line
        AND (message.leased_by = $1 OR message.leased_by IS NULL AND message.parked_at IS NULL)";

pub(super) const LAST_NUMBER: &str = "SELECT coalesce(max(number), 0) FROM followthrough_outbox";

/// Says that the relay waits, and returns whether it did not say so before.
pub(super) const WAIT: &str = "
    INSERT INTO followthrough_outbox_relays (relay, waits_since)
    VALUES ($1, statement_timestamp())
    ON CONFLICT (relay) DO UPDATE SET waits_since = excluded.waits_since
    RETURNING xmax = 0";

pub(super) const RETIRE: &str = "DELETE FROM followthrough_outbox_relays WHERE relay = $1";

/// Whether a relay could lease a message. Messages behind a leased head are due, so only heads are looked at.
pub(super) const ANY_DUE: &str = "
    WITH RECURSIVE seen AS (
        (SELECT key, number, due_at, parked_at FROM followthrough_outbox
        WHERE in_line AND key IS NOT NULL AND key > ''
        ORDER BY key, number LIMIT 1)
        UNION ALL
        SELECT next.* FROM seen AS last CROSS JOIN LATERAL (
            SELECT key, number, due_at, parked_at FROM followthrough_outbox
            WHERE in_line AND key IS NOT NULL AND key > last.key
            ORDER BY key, number LIMIT 1
        ) AS next
    )
    SELECT EXISTS (
        SELECT FROM followthrough_outbox
        WHERE in_line AND key IS NULL AND parked_at IS NULL AND due_at <= statement_timestamp()
    ) OR EXISTS (
        SELECT FROM seen WHERE parked_at IS NULL AND due_at <= statement_timestamp()
    )";

/// Removes a batch of sent messages, without those that another relay removes at the moment.
pub(super) const PURGE: &str = "
    WITH removed AS (
        DELETE FROM followthrough_outbox WHERE number = ANY (ARRAY(
            SELECT number FROM followthrough_outbox
            WHERE sent_at IS NOT NULL
                AND sent_at <= statement_timestamp() - $1 * interval '1 microsecond'
            ORDER BY sent_at LIMIT $2
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING number
    )
    SELECT count(*) FROM removed";

/// Removes the rows of relays that died a day ago or before.
pub(super) const FORGET_RELAYS: &str = "
    DELETE FROM followthrough_outbox_relays
    WHERE waits_since < statement_timestamp() - interval '1 day'";

/// Counts by the indexes of messages in line, because the table has more messages that were sent.
pub(super) const BACKLOG: &str = "
    SELECT sum(messages)::bigint,
        (SELECT count(*) FROM followthrough_outbox WHERE parked_at IS NOT NULL),
        (extract(epoch FROM statement_timestamp() - min(oldest)) * 1000000)::bigint
    FROM (
        SELECT count(*) AS messages, min(enqueued_at) AS oldest FROM followthrough_outbox
        WHERE in_line AND key IS NOT NULL AND parked_at IS NULL
        UNION ALL
        SELECT count(*), min(enqueued_at) FROM followthrough_outbox
        WHERE in_line AND key IS NULL AND parked_at IS NULL
    ) AS waiting";

pub(super) const PARKED: &str = "
    SELECT number, id::text, topic, key, in_line, attempts, coalesce(reason, ''),
        (extract(epoch FROM statement_timestamp() - parked_at) * 1000000)::bigint,
        octet_length(payload)::bigint
    FROM followthrough_outbox WHERE parked_at IS NOT NULL
    ORDER BY parked_at, number LIMIT $1";

pub(super) const RETRY: &str = "
    UPDATE followthrough_outbox SET
        in_line = true, parked_at = NULL, due_at = statement_timestamp(), attempts = 0, reason = NULL,
        leased_by = NULL
    WHERE number = $1 AND parked_at IS NOT NULL";

pub(super) const DROP_PARKED: &str =
    "DELETE FROM followthrough_outbox WHERE number = $1 AND parked_at IS NOT NULL";
