//! Idempotency keys over real sockets: laws K1 to K12.

mod faults;
mod in_a_transaction;
mod laws;
mod laws_of_records;
mod requests;
mod shop;
mod stores;
