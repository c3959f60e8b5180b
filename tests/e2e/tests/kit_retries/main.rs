//! `then_retry`: a client that leaves at every await, comes back, and repeats its request with the same key.
//!
//! The handlers with keys are in a binary of their own, because a lifecycle without a store refuses them.

mod answers;
mod shop;
mod writes;
