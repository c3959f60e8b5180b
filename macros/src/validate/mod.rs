//! Checks the parsed data and makes the model. All errors of a handler are collected before any is reported.

mod attributes;
mod bodies;
mod borrows;
mod calls;
mod key;
mod options;
mod params;
mod policy;
mod signature;
mod word;
mod wording;

pub(crate) use attributes::{Deadline, ItemAttributes, MOVED, split as split_attributes};
pub(crate) use bodies::bodies;
pub(crate) use borrows::borrows;
pub(crate) use calls::calls;
pub(crate) use key::{durable_work, key};
pub(crate) use options::Options;
pub(crate) use params::{Params, params, site_token, unused_token};
pub(crate) use policy::{
    compensation_tokens, compensation_variables, cooperation, instrument_attributes, policy,
    safe_method, second_policies,
};
pub(crate) use signature::{
    await_future, check as check_signature, normalise as normalise_signature,
};
