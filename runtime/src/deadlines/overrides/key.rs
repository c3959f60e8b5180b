//! The key of an override, as it is written in its source.

use std::fmt;

use crate::handler_policy::HandlerPolicy;

/// The key of an override, by its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// An environment variable, and the part of it that is the name.
    Env { variable: String, name: String },
    /// A name in TOML.
    #[cfg_attr(not(feature = "toml"), expect(dead_code, reason = "made by `from_toml`"))]
    Toml(String),
    /// The name of a deadline in the code.
    Code(String),
}

impl Key {
    pub(crate) fn is_of(&self, policy: &HandlerPolicy) -> bool {
        !matches!(self, Self::Code(_)) && self.matches(policy.name())
    }

    pub(crate) fn matches(&self, meant: &str) -> bool {
        match self {
            Self::Env { name, .. } => *name == env_name(meant),
            Self::Toml(name) | Self::Code(name) => name == meant,
        }
    }

    /// Returns whether it is `default`, which means the default of the service unless a handler has that name.
    pub(crate) fn is_default(&self) -> bool {
        !matches!(self, Self::Code(_)) && self.name() == self.spell("default")
    }

    /// Returns the name of a handler as the source of this key writes it.
    pub(crate) fn spell(&self, name: &str) -> String {
        match self {
            Self::Env { .. } => env_name(name),
            Self::Toml(_) | Self::Code(_) => name.to_owned(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Env { name, .. } | Self::Toml(name) | Self::Code(name) => name,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env { variable, .. } => f.write_str(variable),
            Self::Toml(name) => write!(f, "`{name}` in TOML"),
            Self::Code(name) => write!(f, "`{name}` in the code"),
        }
    }
}

/// Returns a name as an environment variable writes it: `ORDERS__PLACE` for `orders::place`.
pub(crate) fn env_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.chars().map(plain).flat_map(char::to_uppercase).collect()
}
