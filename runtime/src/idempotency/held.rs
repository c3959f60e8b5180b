//! The claim of a write that has ended, until its answer is stored.

use std::sync::Arc;

use super::{Claim, Finished, KeyedWrites, RecordId, StoreError, StoredAnswer, running::Lead};

/// The claim of a write that has ended.
pub(crate) struct Held {
    pub(super) claim: Claim,
    pub(super) lead: Lead,
    pub(super) in_transaction: Option<StoredAnswer>,
    pub(super) writes: Arc<KeyedWrites>,
}

impl Held {
    pub(crate) const fn record(&self) -> &RecordId {
        &self.claim.id
    }

    /// Returns whether a transaction of the handler contains an answer.
    pub(crate) const fn is_in_transaction(&self) -> bool {
        self.in_transaction.is_some()
    }

    /// Stores `answer`. Returns the answer that the record has now, or `None` if another claim holds it.
    pub(crate) async fn store(
        &self,
        answer: &StoredAnswer,
    ) -> Result<Option<StoredAnswer>, StoreError> {
        if self.in_transaction.as_ref() == Some(answer) {
            return Ok(Some(answer.clone()));
        }
        let timeout = self.writes.timeout();
        let finish = self.writes.store().finish(&self.claim, answer);
        let late = |_| StoreError::new(format!("no answer within {timeout:?}"));
        Ok(match tokio::time::timeout(timeout, finish).await.map_err(late)?? {
            Finished::Stored => Some(answer.clone()),
            Finished::Before(before) => Some(before),
            Finished::Lost => None,
        })
    }

    /// Ends the write, and gives the stored answer to the retries that wait for it.
    pub(crate) fn end(self, answer: StoredAnswer) {
        self.lead.end(answer);
    }
}
