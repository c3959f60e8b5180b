//! The settings, from the environment.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

/// The beginning of the name of each variable.
pub(crate) const PREFIX: &str = "SERVICE";

/// The settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The file of the database, or `:memory:`.
    pub database: String,
    /// How long a shutdown may take.
    pub grace: Duration,
    /// The levels of the log, by target.
    pub log: Targets,
    /// Whether SIGTERM and Ctrl-C end the service. A test sets `false`.
    pub signals: bool,
}

/// A variable whose value cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{variable}` is `{value}`: expected {expected}")]
pub struct ConfigError {
    variable: String,
    value: String,
    expected: String,
}

impl Config {
    /// Reads the environment. A variable that is not set has its default.
    ///
    /// # Errors
    ///
    /// Returns an error that names the variable if its value cannot be used.
    pub fn from_env() -> Result<Self, ConfigError> {
        // A value that is not UTF-8 is refused with its replacement characters.
        Self::from(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads the settings from `variables`, which returns the value of a name.
    ///
    /// # Errors
    ///
    /// Returns an error that names the variable if its value cannot be used.
    pub fn from(variables: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = |name: &str| {
            let variable = format!("{PREFIX}_{name}");
            let value = variables(&variable);
            (variable, value)
        };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 3000));
        let listen = parse(read("LISTEN"), listen, "an address such as `127.0.0.1:3000`")?;
        let database = parse(read("DATABASE"), "notes.db".to_owned(), "a file, or `:memory:`")?;
        let seconds = parse(read("GRACE_SECONDS"), 30, "a whole number of seconds")?;
        let log: Targets = parse(
            read("LOG"),
            default_log(),
            "levels by target, such as `info,followthrough=debug`",
        )?;
        Ok(Self { listen, database, grace: Duration::from_secs(seconds), log, signals: true })
    }
}

fn default_log() -> Targets {
    use tracing::Level;
    Targets::new().with_default(Level::INFO).with_target("followthrough", Level::DEBUG)
}

/// Returns the value of a variable, or `default` if it is not set.
fn parse<T: FromStr<Err: Display>>(
    (variable, value): (String, Option<String>),
    default: T,
    expected: &str,
) -> Result<T, ConfigError> {
    let Some(value) = value else { return Ok(default) };
    value.parse().map_err(|error| {
        let expected = format!("{expected} ({error})");
        ConfigError { variable, value, expected }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_variables_the_defaults_hold() {
        let config = Config::from(|_| None).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(config.database, "notes.db");
        assert_eq!(config.grace, Duration::from_secs(30));
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_name_of_its_variable() {
        for (name, value) in
            [("SERVICE_LISTEN", "3000"), ("SERVICE_GRACE_SECONDS", "30s"), ("SERVICE_LOG", "a=b")]
        {
            let wrong = |asked: &str| (asked == name).then(|| value.to_owned());
            let error = Config::from(wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{name}` is `{value}`: expected ")), "{error}");
        }
    }
}
