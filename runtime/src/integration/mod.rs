//! Tools for crates that connect a database or a broker: tokens that cut a statement, compensations that wait for it,
//! and meters of relays.
//!
//! A database continues a statement after its future is dropped. So a pool with safe compensations (law 10a)
//! follows the token of the request ([`CancelOn`]), keeps a connection whose statement was cut until the server
//! has answered ([`settle`]), and delays the compensations of the request until then ([`CompensationHold`]).
//! An error of the server may quote what a client sent, so it is logged as [`Escaped`].
//! `followthrough-postgres` and `followthrough-sqlx-postgres` are built on this module.
//!
//! A relay of an outbox tells its service what it does with a [`RelayMeter`]. The relays of `followthrough-outbox` have one.

mod cancel_on;
mod quarantine;
mod relay_meter;

pub use self::{
    cancel_on::CancelOn,
    quarantine::{CompensationHold, FIRST_PAUSE, LONGEST_PAUSE, STRAY_STATEMENTS, Settled, settle},
    relay_meter::RelayMeter,
};
pub use crate::{
    escaped::Escaped,
    service::{RelayBacklog, RelaySettled},
};
