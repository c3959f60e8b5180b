//! The statements of the store in `SQLite`.

/// The milliseconds since 1970. `unixepoch('subsec')` needs `SQLite` 3.42.
macro_rules! now {
    () => {
        "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
    };
}

pub(super) const LOOK: &str = concat!(
    "SELECT fingerprint, owner, epoch, runs_again, keep_ms, status, headers, body
    FROM followthrough_keys
    WHERE scope = ?1 AND key = ?2 AND (?3 OR expires_at IS NULL OR expires_at > ",
    now!(),
    ")"
);

pub(super) const CLAIM: &str = concat!(
    "INSERT INTO followthrough_keys AS record
        (scope, key, fingerprint, handler, owner, epoch, runs_again, keep_ms, begun_at)
    VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ",
    now!(),
    ")
    ON CONFLICT (scope, key) DO UPDATE SET
        fingerprint = excluded.fingerprint, handler = excluded.handler, owner = excluded.owner,
        epoch = record.epoch + 1, runs_again = excluded.runs_again, keep_ms = excluded.keep_ms,
        begun_at = excluded.begun_at, status = NULL, headers = NULL, body = NULL, expires_at = NULL
    WHERE record.status IS NOT NULL AND record.expires_at <= excluded.begun_at
    RETURNING epoch"
);

pub(super) const TAKE_OVER: &str = concat!(
    "UPDATE followthrough_keys SET
        fingerprint = ?5, handler = ?6, owner = ?7, epoch = epoch + 1, runs_again = ?8,
        keep_ms = ?9, begun_at = ",
    now!(),
    " WHERE scope = ?1 AND key = ?2 AND owner = ?3 AND epoch = ?4 AND status IS NULL
    RETURNING epoch"
);

pub(super) const FINISH: &str = concat!(
    "UPDATE followthrough_keys SET
        status = ?5, headers = ?6, body = ?7, expires_at = ?8 + ",
    now!(),
    " WHERE scope = ?1 AND key = ?2 AND owner = ?3 AND epoch = ?4 AND status IS NULL"
);

pub(super) const RELEASE: &str = "
    DELETE FROM followthrough_keys
    WHERE scope = ?1 AND key = ?2 AND owner = ?3 AND epoch = ?4 AND status IS NULL";

pub(super) const EXPIRE: &str = concat!(
    "DELETE FROM followthrough_keys WHERE rowid IN (
        SELECT rowid FROM followthrough_keys
        WHERE status IS NOT NULL AND expires_at <= ",
    now!(),
    " ORDER BY expires_at LIMIT ?1)"
);

/// Removes the heartbeats of processes that died a day ago and have begun nothing.
pub(super) const FORGET_OWNERS: &str = concat!(
    "DELETE FROM followthrough_owners
    WHERE beat_at < ",
    now!(),
    " - 86400000
        AND NOT EXISTS (
            SELECT 1 FROM followthrough_keys AS record
            WHERE record.owner = followthrough_owners.owner AND record.expires_at IS NULL
        )"
);

pub(super) const BEAT: &str = concat!(
    "INSERT INTO followthrough_owners AS beat (owner, beats, beat_at)
    VALUES (?1, 1, ",
    now!(),
    ")
    ON CONFLICT (owner) DO UPDATE SET beats = beat.beats + 1, beat_at = excluded.beat_at"
);

pub(super) const BEATS: &str = "SELECT owner, beats FROM followthrough_owners";

pub(super) const RETIRE: &str = "DELETE FROM followthrough_owners WHERE owner = ?1";

/// Whether `SQLite` checks foreign keys on this connection, as it does by sqlx's default.
pub(super) const CHECKS: &str = "PRAGMA foreign_keys";
