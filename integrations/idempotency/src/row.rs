//! The columns of `followthrough_keys`, in the types that both databases have.

use std::time::Duration;

use followthrough::{
    idempotency::{
        Claim, Fingerprint, Finished, Heartbeat, NewClaim, Record, RecordId, RecordState,
        StoreError, StoredAnswer,
    },
    integration::Escaped,
};

/// The longest time that a record is kept: 100 years, which both databases can add to their clocks.
const LONGEST_KEEP_MS: u64 = 100 * 366 * 24 * 3600 * 1000;

/// The columns of a record, as a database read them.
pub(crate) struct Row {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) owner: String,
    pub(crate) epoch: i64,
    pub(crate) runs_again: bool,
    pub(crate) keep_ms: i64,
    pub(crate) status: Option<i64>,
    pub(crate) headers: Option<String>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Row {
    /// Returns whether `claim` holds the record, or held it at its end.
    pub(crate) fn is_of(&self, claim: &Claim) -> bool {
        self.owner == claim.owner && u64::try_from(self.epoch) == Ok(claim.epoch)
    }

    /// Returns the record. A row that no store wrote is [`RecordState::Unreadable`].
    pub(crate) fn record(self, id: &RecordId) -> Record {
        let Ok(fingerprint) = self.fingerprint.as_slice().try_into().map(Fingerprint) else {
            let length = self.fingerprint.len();
            return unreadable(id, &format!("its fingerprint has {length} bytes, not 32"));
        };
        match self.state(id) {
            Ok(state) => Record::new(fingerprint, state),
            Err(error) => unreadable(id, &error.to_string()),
        }
    }

    /// Returns the result of `finish` by the claim that has stored this answer before.
    pub(crate) fn finished(self, id: &RecordId) -> Result<Finished, StoreError> {
        match self.state(id)? {
            RecordState::Finished(answer) => Ok(Finished::Before(answer)),
            _ => Ok(Finished::Lost),
        }
    }

    fn state(self, id: &RecordId) -> Result<RecordState, StoreError> {
        let Some(status) = self.status else {
            let number = |column: i64, name: &str| {
                u64::try_from(column)
                    .map_err(|_| StoreError::new(format!("its {name} is {column}")))
            };
            let keep = Duration::from_millis(number(self.keep_ms, "`keep_ms`")?);
            let epoch = number(self.epoch, "epoch")?;
            let claim = Claim::new(id.clone(), self.owner, epoch, keep);
            return Ok(RecordState::Begun { claim, runs_again: self.runs_again });
        };
        let status = u16::try_from(status)
            .map_err(|_| StoreError::new(format!("{status} is not a status")))?;
        let (Some(headers), Some(body)) = (self.headers, self.body) else {
            return Err(StoreError::new("it has a status, and no headers or no body"));
        };
        StoredAnswer::from_columns(status, &headers, body).map(RecordState::Finished)
    }
}

/// Returns the record of a row that cannot be read.
pub(crate) fn unreadable(id: &RecordId, why: &str) -> Record {
    let why = format!("the row of {id} was edited: {}", Escaped(why));
    Record::new(Fingerprint([0; 32]), RecordState::Unreadable(why))
}

/// Returns the time that a record is kept as a column, rounded up to a whole millisecond.
pub(crate) fn keep_ms(keep: Duration) -> i64 {
    let ms = keep.as_nanos().div_ceil(1_000_000).min(LONGEST_KEEP_MS.into());
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Returns an epoch as a column.
pub(crate) fn epoch(claim: &Claim) -> i64 {
    // No row has this epoch, so a claim that no store made holds none.
    i64::try_from(claim.epoch).unwrap_or(-1)
}

/// Returns the claim that a store has made.
pub(crate) fn held(id: &RecordId, new: &NewClaim, epoch: i64) -> Result<Claim, StoreError> {
    let epoch = u64::try_from(epoch).map_err(|_| {
        StoreError::new(format!("the row of {id} was edited: its epoch is {epoch}"))
    })?;
    Ok(Claim::new(id.clone(), new.owner.clone(), epoch, new.keep))
}

/// Returns the heartbeats of all owners.
pub(crate) fn heartbeats(rows: Vec<(String, i64)>) -> Vec<Heartbeat> {
    // An edited number that is negative stands still, as that of a dead process.
    let beat = |(owner, beats)| Heartbeat::new(owner, u64::try_from(beats).unwrap_or_default());
    rows.into_iter().map(beat).collect()
}

/// Returns the error of a database as that of a store.
pub(crate) fn failed(error: &sqlx::Error) -> StoreError {
    StoreError::new(Escaped(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: Option<i64>) -> Row {
        Row {
            fingerprint: vec![7; 32],
            owner: "a".to_owned(),
            epoch: 1,
            runs_again: true,
            keep_ms: 5,
            status,
            headers: status.map(|_| "x-a: b\n".to_owned()),
            body: status.map(|_| b"body".to_vec()),
        }
    }

    fn state(row: Row) -> RecordState {
        row.record(&RecordId::new("scope", "key")).state
    }

    #[test]
    fn a_row_is_its_record() {
        let claim =
            Claim::new(RecordId::new("scope", "key"), "a".to_owned(), 1, Duration::from_millis(5));
        assert!(row(None).is_of(&claim));
        assert_eq!(state(row(None)), RecordState::Begun { claim, runs_again: true });
        let answer = StoredAnswer::from_columns(201, "x-a: b\n", b"body".to_vec());
        assert_eq!(state(row(Some(201))), RecordState::Finished(answer.expect("it is valid")));
    }

    #[test]
    fn an_edited_row_is_unreadable() {
        let rows = [
            Row { fingerprint: vec![7; 31], ..row(None) },
            Row { epoch: -1, ..row(None) },
            Row { keep_ms: -1, ..row(None) },
            row(Some(-1)),
            row(Some(99)),
            row(Some(70_000)),
            Row { headers: Some("no header".to_owned()), ..row(Some(200)) },
            Row { headers: None, ..row(Some(200)) },
            Row { body: None, ..row(Some(200)) },
        ];
        for (number, row) in rows.into_iter().enumerate() {
            let state = state(row);
            assert!(matches!(&state, RecordState::Unreadable(_)), "{number}: {state:?}");
        }
        let RecordState::Unreadable(why) = state(row(Some(7))) else { panic!("7 is no status") };
        assert_eq!(why, "the row of scope/key was edited: 7 is not a status");
    }

    #[test]
    fn times_are_rounded_up_and_bounded() {
        assert_eq!(keep_ms(Duration::ZERO), 0);
        assert_eq!(keep_ms(Duration::from_nanos(1)), 1);
        assert_eq!(keep_ms(Duration::from_millis(1)), 1);
        assert_eq!(keep_ms(Duration::MAX), 3_162_240_000_000);
    }
}
