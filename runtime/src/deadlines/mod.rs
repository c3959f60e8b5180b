//! The sources of deadlines: handlers, operators, callers and platforms.

mod callers;
mod catalogue;
mod effective;
mod header;
mod overrides;
#[cfg(feature = "lambda")]
mod platform;
mod row;

#[cfg(feature = "lambda")]
pub(crate) use self::platform::{Platform, TimeLeft};
pub use self::{
    callers::CallerDeadlines,
    catalogue::{Declared, Policies, policies},
    effective::{EffectiveDeadline, Origin},
    overrides::{Overrides, OverridesError},
};
pub(crate) use self::{
    callers::Ignored,
    catalogue::{all, declared, declared_at, known},
    header::{ENVOY, Format, GRPC},
    overrides::Deadlines,
};
