//! Tools for crates that connect a database: tokens that cut a statement, and compensations that wait for it.
//!
//! A database continues a statement after its future is dropped. So a pool with safe compensations (law 10a)
//! follows the token of the request ([`CancelOn`]), keeps a connection whose statement was cut until the server
//! has answered ([`settle`]), and delays the compensations of the request until then ([`CompensationHold`]).
//! An error of the server may quote what a client sent, so it is logged as [`Escaped`].
//! `followthrough-postgres` and `followthrough-sqlx-postgres` are built on this module.

mod cancel_on;
mod quarantine;

pub use self::{
    cancel_on::CancelOn,
    quarantine::{CompensationHold, FIRST_PAUSE, LONGEST_PAUSE, STRAY_STATEMENTS, Settled, settle},
};
pub use crate::escaped::Escaped;
