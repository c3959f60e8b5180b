//! Idempotency keys: a client repeats its request with the same key, and the write happens once.
//!
//! A handler asks for keys with `idempotency_key = "required"` or `"optional"`. The lifecycle has the [`Store`] of the
//! records and the [`Scope`] of the keys. A record begins at the handler's point of no return and ends with the
//! stored answer, which every retry receives. [The guide](crate::guide::idempotency) says when to use a key.
//!
//! ```standalone_crate
//! use axum::extract::State;
//! use followthrough::{
//!     Idempotency, IdempotencyKey, Lifecycle, Router, Scope, durable_write, idempotency::MemoryStore,
//!     routing::post,
//! };
//!
//! #[durable_write(idempotency_key = "required")]
//! async fn charge(key: IdempotencyKey) -> String {
//!     // The payment service gets a key of its own, which is the same in every retry.
//!     format!("charged once as {}", key.derive("payment"))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let by_customer = Scope::by(|parts| parts.headers.get("x-customer")?.to_str().ok().map(str::to_owned));
//! let lifecycle = Lifecycle::builder()
//!     .idempotency(Idempotency::new(MemoryStore::new(), by_customer))
//!     .build()?;
//! let app: Router = Router::new().route("/charges", post(charge));
//! # Ok(())
//! # }
//! ```

mod answer;
mod attempt;
#[cfg(feature = "testing")]
pub mod contract;
mod counts;
mod decision;
mod heart;
mod held;
mod key;
mod keyed_writes;
mod memory;
mod owners;
mod refusal;
mod running;
mod scope;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod wake_all;

#[cfg(feature = "testing")]
pub(crate) use self::{answer::REPLAYED, owners::new_name};
pub(crate) use self::{
    answer::Read,
    attempt::{Attempt, IDEMPOTENCY_KEY},
    counts::{Counter, IdempotencyTally},
    decision::Decision,
    held::Held,
    keyed_writes::{KeyedWrites, Lost, pauses},
    refusal::Refusal,
    running::{End, Join},
};
pub use self::{
    answer::StoredAnswer,
    counts::IdempotencyCounts,
    key::{IdempotencyKey, KeyError, PreparedAnswer},
    memory::MemoryStore,
    refusal::KeyRejection,
    scope::{IntoPrincipal, Scope},
    settings::{Idempotency, UnknownWrite},
    store::{
        Claim, Claimed, Fingerprint, Finished, Heartbeat, NewClaim, Record, RecordId, RecordState,
        Store, StoreError, StoreFuture,
    },
};
pub use crate::handler_policy::KeyPolicy;
