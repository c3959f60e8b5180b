//! The deadline that is in force for a handler, and its origin.

use std::{fmt, time::Duration};

use serde_core::{Serialize, Serializer};

use super::overrides::Deadlines;
use crate::handler_policy::{HandlerPolicy, Mode};

/// The deadline that is in force for a handler, and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EffectiveDeadline {
    /// The deadline in force, from the arrival of the request.
    pub deadline: Option<Duration>,
    /// The deadline in the attribute.
    pub written: Option<Duration>,
    /// The name of a deadline in the attribute.
    pub name: Option<&'static str>,
    /// The origin of `deadline`; `None` without a deadline.
    pub origin: Option<Origin>,
}

/// The origin of a deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The attribute of the handler.
    Attribute,
    /// [`LifecycleBuilder::default_deadline`](crate::LifecycleBuilder::default_deadline).
    Default,
    /// [`Overrides`](crate::Overrides), or
    /// [`named_deadline`](crate::LifecycleBuilder::named_deadline): an environment variable, or a
    /// name in TOML or in the code.
    Override(String),
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Attribute => to.serialize_str("attribute"),
            Self::Default => to.serialize_str("default"),
            Self::Override(by) => to.serialize_newtype_variant("Origin", 2, "override", by),
        }
    }
}

impl EffectiveDeadline {
    pub(super) fn written(policy: &HandlerPolicy) -> Self {
        let written = policy.deadline();
        let origin = written.map(|_| Origin::Attribute);
        Self { deadline: written, written, name: policy.named_deadline(), origin }
    }

    /// Returns the deadline that is in force under a lifecycle.
    pub(crate) fn in_force(
        policy: &'static HandlerPolicy,
        overridden: Option<&Deadlines>,
        default: Option<(Duration, Option<&str>)>,
    ) -> Self {
        let written = Self::written(policy);
        if policy.mode() == Mode::Exempt {
            return written;
        }
        let own = match overridden.and_then(|overridden| overridden.of(policy)) {
            Some((deadline, by)) => Self {
                deadline: Some(deadline),
                origin: Some(Origin::Override(by.to_owned())),
                ..written
            },
            None => written,
        };
        match default {
            Some((default, by)) if own.deadline.is_none_or(|own| default < own) => {
                let origin = by.map_or(Origin::Default, |by| Origin::Override(by.to_owned()));
                Self { deadline: Some(default), origin: Some(origin), ..own }
            }
            _ => own,
        }
    }
}

impl fmt::Display for EffectiveDeadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(deadline) = self.deadline else {
            // A named deadline has no duration without a lifecycle.
            return f.write_str(self.name.unwrap_or_default());
        };
        f.write_str(&time(deadline.as_millis()))?;
        match &self.origin {
            Some(Origin::Default) => f.write_str(" by default")?,
            Some(Origin::Override(by)) => write!(f, " by {by}")?,
            Some(Origin::Attribute) | None => return Ok(()),
        }
        match self.written {
            Some(written) => write!(f, ", not {}", time(written.as_millis())),
            None => Ok(()),
        }
    }
}

/// Formats a time as `5 s` or `750 ms`.
pub(super) fn time(ms: u128) -> String {
    if ms % 1000 == 0 { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}
