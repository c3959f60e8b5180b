//! Idempotency keys over real sockets: laws K1 to K12.

mod faults;
mod laws;
mod laws_of_records;
mod requests;
mod shop;
mod stores;
