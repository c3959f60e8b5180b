//! What an override is about, in the words of where it was written.

use std::fmt;

use crate::handler_policy::HandlerPolicy;

/// Who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A whole environment variable, and the part of it that stands for the name.
    Env { variable: String, name: String },
    /// The name itself.
    #[cfg_attr(not(feature = "toml"), expect(dead_code, reason = "made by `from_toml`"))]
    Toml(String),
    /// The name of a deadline.
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

    /// Whether it means the service's default, if it means nothing else.
    pub(crate) fn is_default(&self) -> bool {
        !matches!(self, Self::Code(_)) && self.name() == self.spell("default")
    }

    /// How the name of a handler is written where this key is.
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

/// `orders::place` as an environment variable can say it: `ORDERS__PLACE`.
pub(crate) fn env_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.chars().map(plain).flat_map(char::to_uppercase).collect()
}
