//! For crates that connect a database: tokens that cut a statement, and compensations that wait for it.
//!
//! A database works on when the future of a statement is dropped. So a pool whose compensations are safe (law 10a)
//! does three things, and this module has what it needs for them: it follows the token of the request
//! ([`CancelOn`]), it keeps a connection whose statement was cut until the server has answered ([`settle`]), and
//! it holds back the compensations of the request until then ([`CompensationHold`]).
//! `followthrough-postgres` and `followthrough-sqlx-postgres` are made of these.

mod cancel_on;
mod quarantine;

pub use self::{
    cancel_on::CancelOn,
    quarantine::{CompensationHold, FIRST_PAUSE, LONGEST_PAUSE, STRAY_STATEMENTS, Settled, settle},
};
