//! The sources of deadlines: handlers, operators, callers and platforms.

mod callers;
mod catalogue;
mod header;
mod overrides;
#[cfg(feature = "lambda")]
mod platform;

#[cfg(feature = "lambda")]
pub(crate) use self::platform::{Platform, TimeLeft};
pub use self::{
    callers::CallerDeadlines,
    catalogue::{Declared, EffectiveDeadline, Origin, Policies, policies},
    overrides::{Overrides, OverridesError},
};
pub(crate) use self::{
    callers::Ignored,
    catalogue::{all, declared, declared_at, known},
    header::{ENVOY, Format, GRPC},
    overrides::Deadlines,
};
