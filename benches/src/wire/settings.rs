//! The settings of a measurement.

use std::time::Duration;

use super::servers::{SERVERS, Server};

/// The servers, the duration and the rounds. The default takes about fourteen minutes, plus the
/// builds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long each server is loaded at a time, in seconds.
    pub seconds: f64,
    /// The number of rounds.
    pub rounds: usize,
    /// Names of servers; empty for all. Bare axum is always measured.
    pub only: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seconds: 0.5, rounds: 15, only: Vec::new() }
    }
}

impl Settings {
    /// Returns whether `server` is to be measured.
    pub(super) fn wants(&self, server: &Server) -> bool {
        let is_named = || self.only.iter().any(|name| name == server.name);
        self.only.is_empty() || server.name == SERVERS[0].name || is_named()
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let Self { seconds, rounds, only } = self;
        if !(0.1..=10.0).contains(seconds) {
            return Err(format!("`--seconds {seconds}`: expected 0.1 to 10"));
        }
        if *rounds == 0 {
            return Err("`--rounds 0`: expected at least 1".to_owned());
        }
        let is_known = |name: &String| SERVERS.iter().any(|server| server.name == *name);
        match only.iter().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(format!(
                "unknown server `{name}`; expected some of {:?}",
                SERVERS.map(|server| server.name)
            )),
        }
    }

    /// Returns the command that repeats the measurement.
    pub(super) fn command(&self) -> String {
        let mut words = vec!["cargo run --release -p followthrough-benches -- wire".to_owned()];
        let default = Self::default();
        if (self.seconds - default.seconds).abs() > f64::EPSILON {
            words.push(format!("--seconds {}", self.seconds));
        }
        if self.rounds != default.rounds {
            words.push(format!("--rounds {}", self.rounds));
        }
        if !self.only.is_empty() {
            words.push(format!("--only {}", self.only.join(",")));
        }
        words.join(" ")
    }

    /// Returns settings that only show that the measurement runs.
    #[must_use]
    pub fn quick() -> Self {
        Self { seconds: 0.1, rounds: 1, only: Vec::new() }
    }

    /// Parses the command line.
    ///
    /// # Errors
    ///
    /// If an option is unknown, or a value is out of bounds.
    pub fn parse(options: &[&str]) -> Result<Self, String> {
        let mut settings = Self::default();
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().ok_or_else(|| format!("`{option}` has no value"));
            let wrong = |value: &str| format!("`{option} {value}`: expected a number");
            match *option {
                "--seconds" => {
                    let value = value()?;
                    settings.seconds = value.parse().map_err(|_| wrong(value))?;
                }
                "--rounds" => {
                    let value = value()?;
                    settings.rounds = value.parse().map_err(|_| wrong(value))?;
                }
                "--only" => settings.only = value()?.split(',').map(str::to_owned).collect(),
                _ => {
                    return Err(format!(
                        "unknown option `{option}`; expected `wire [--seconds S] [--rounds R] [--only a,b]`"
                    ));
                }
            }
        }
        settings.check()?;
        Ok(settings)
    }
}
