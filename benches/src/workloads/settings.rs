//! The settings of a measurement.

use super::rows::{ROWS, Row};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The counts of the page.
    Full,
    /// The counts of `--check`.
    Check,
    /// Counts that are too small for figures.
    Quick,
}

/// The rows, the rounds and the scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often each server is loaded.
    pub rounds: usize,
    /// Names of rows; empty for all.
    pub only: Vec<String>,
    /// The counts.
    pub scale: Scale,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds: 11, only: Vec::new(), scale: Scale::Full }
    }
}

impl Settings {
    /// Returns settings that only show that the measurement runs.
    #[must_use]
    pub fn quick() -> Self {
        Self { rounds: 1, scale: Scale::Quick, ..Self::default() }
    }

    /// Parses the options of the command line.
    ///
    /// # Errors
    ///
    /// If an option or a row is unknown, or there would be no round.
    pub fn parse(options: &[&str]) -> Result<Self, String> {
        let (mut settings, mut rounds) = (Self::default(), None);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().ok_or_else(|| format!("`{option}` has no value"));
            match *option {
                "--quick" => settings = Self { only: settings.only, ..Self::quick() },
                "--check" => settings = Self { rounds: 5, scale: Scale::Check, ..settings },
                "--rounds" => {
                    let value = value()?;
                    let parsed = value.parse().ok().filter(|rounds| *rounds > 0);
                    rounds = Some(parsed.ok_or_else(|| {
                        format!("`--rounds {value}`: expected a number of at least 1")
                    })?);
                }
                "--only" => settings.only = value()?.split(',').map(str::to_owned).collect(),
                _ => {
                    return Err(format!(
                        "unknown option `{option}`; expected \
                         `workloads [--check | --quick] [--rounds R] [--only a,b]`"
                    ));
                }
            }
        }
        settings.rounds = rounds.unwrap_or(settings.rounds);
        let is_known = |name: &String| ROWS.iter().any(|row| row.id == *name);
        match settings.only.iter().find(|name| !is_known(name)) {
            None => Ok(settings),
            Some(name) => Err(format!(
                "unknown workload `{name}`; expected some of {:?}",
                ROWS.iter().map(|row| row.id).collect::<Vec<_>>()
            )),
        }
    }

    /// Returns the work of a run of `row`, or `None` if these settings leave the row out.
    #[must_use]
    pub fn amount(&self, row: &Row) -> Option<u64> {
        if !self.only.is_empty() && !self.only.iter().any(|name| name == row.id) {
            return None;
        }
        match self.scale {
            Scale::Full => Some(row.amounts.full),
            Scale::Check => row.amounts.check,
            Scale::Quick => Some(row.amounts.quick),
        }
    }

    /// Returns the command that repeats the measurement.
    pub(super) fn command(&self) -> String {
        let mut words =
            vec!["cargo run --release -p followthrough-benches -- workloads".to_owned()];
        match self.scale {
            Scale::Full => {}
            Scale::Check => words.push("--check".to_owned()),
            Scale::Quick => words.push("--quick".to_owned()),
        }
        if self.rounds != Self::default().rounds {
            words.push(format!("--rounds {}", self.rounds));
        }
        if !self.only.is_empty() {
            words.push(format!("--only {}", self.only.join(",")));
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parsed_in_any_order() {
        let parsed = Settings::parse(&["--only", "bulk-up,pipeline", "--rounds", "3", "--quick"]);
        let only = vec!["bulk-up".to_owned(), "pipeline".to_owned()];
        assert_eq!(parsed, Ok(Settings { rounds: 3, only, scale: Scale::Quick }));
        assert_eq!(Settings::parse(&[]), Ok(Settings::default()));
        assert_eq!(Settings::parse(&["--check"]).expect("it is known").scale, Scale::Check);
    }

    #[test]
    fn a_bad_option_is_named() {
        for (options, part) in [
            (&["--rounds", "0"][..], "`--rounds 0`: expected a number of at least 1"),
            (&["--rounds", "many"], "`--rounds many`"),
            (&["--rounds"], "`--rounds` has no value"),
            (&["--fast"], "unknown option `--fast`"),
            (&["--only", "bulk"], "unknown workload `bulk`"),
        ] {
            let error = Settings::parse(options).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn rows_that_are_not_named_are_left_out() {
        let settings = Settings::parse(&["--only", "bulk-up"]).expect("it is known");
        let left: Vec<_> = ROWS.iter().filter(|row| settings.amount(row).is_some()).collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].id, "bulk-up");
    }
}
