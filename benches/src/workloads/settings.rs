//! The settings of a measurement.

use std::time::Duration;

use super::{
    five,
    rows::{ROWS, Row},
    sides::Side,
};

/// The time for all rounds of `--check` but the last of each row, so that the whole takes less than
/// a minute on a busy machine.
const CHECK: Duration = Duration::from_secs(40);

/// The most rounds of a row of the five figures, so that the whole takes less than ten minutes.
const FIVE: usize = 5;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The counts of the page.
    Full,
    /// The counts of the page for the rows of the five figures only, in fewer rounds.
    Five,
    /// The counts of `--check`.
    Check,
    /// Counts that are too small for figures.
    Quick,
}

/// The rows, the rounds and the scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often each server is loaded; `None` for the number of the row.
    pub rounds: Option<usize>,
    /// Names of rows; empty for all.
    pub only: Vec<String>,
    /// The counts.
    pub scale: Scale,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds: None, only: Vec::new(), scale: Scale::Full }
    }
}

impl Settings {
    /// Returns settings that only show that the measurement runs.
    #[must_use]
    pub fn quick() -> Self {
        Self { rounds: Some(1), scale: Scale::Quick, ..Self::default() }
    }

    /// Returns the settings of the five figures.
    #[must_use]
    pub fn five() -> Self {
        Self { scale: Scale::Five, ..Self::default() }
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
                "--check" => settings = Self { rounds: Some(7), scale: Scale::Check, ..settings },
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
        settings.rounds = rounds.or(settings.rounds);
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
            Scale::Five => five::wants(row).then_some(row.amounts.full),
            Scale::Check => row.amounts.check,
            Scale::Quick => Some(row.amounts.quick),
        }
    }

    /// Returns whether `side` is measured under `row`.
    pub(super) fn wants(&self, row: &Row, side: Side) -> bool {
        match self.scale {
            Scale::Full => true,
            Scale::Five => five::wants_side(row, side),
            // The noise is for the page.
            Scale::Check | Scale::Quick => side != Side::NoDelayAgain,
        }
    }

    /// Returns how often each server of `row` is loaded.
    #[must_use]
    pub fn rounds(&self, row: &Row) -> usize {
        let rounds = if self.scale == Scale::Five { row.rounds.min(FIVE) } else { row.rounds };
        self.rounds.unwrap_or(rounds)
    }

    /// Returns the time after which a row begins no further round.
    pub(super) fn enough(&self) -> Option<Duration> {
        let rows = ROWS.iter().filter(|row| self.amount(row).is_some()).count();
        let each = CHECK.checked_div(u32::try_from(rows).ok()?);
        each.filter(|_| self.scale == Scale::Check)
    }

    /// Returns the command that repeats the measurement.
    pub(super) fn command(&self) -> String {
        let program = "cargo run --release -p followthrough-benches --";
        let mut words = vec![format!("{program} workloads")];
        match self.scale {
            Scale::Full => {}
            Scale::Five => return format!("{program} five-figures"),
            Scale::Check => words.push("--check".to_owned()),
            Scale::Quick => words.push("--quick".to_owned()),
        }
        if let (Scale::Full, Some(rounds)) = (self.scale, self.rounds) {
            words.push(format!("--rounds {rounds}"));
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
        assert_eq!(parsed, Ok(Settings { rounds: Some(3), only, scale: Scale::Quick }));
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
    fn only_the_check_has_a_limit_of_time() {
        let enough = |options: &[&str]| Settings::parse(options).expect("they are known").enough();
        assert_eq!(enough(&["--check", "--only", "bulk-up"]), Some(CHECK));
        assert!(enough(&["--check"]).is_some_and(|each| each < CHECK / 5));
        assert_eq!(enough(&[]), None);
        assert_eq!(enough(&["--quick"]), None);
    }

    #[test]
    fn the_five_figures_take_their_rows_and_sides_only() {
        let five = Settings::five();
        let rows: Vec<_> = ROWS.iter().filter(|row| five.amount(row).is_some()).collect();
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, ["small", "bulk-down", "streams-100", "storm", "idle"]);
        assert!(five.wants(rows[1], Side::NoDelayAgain) && five.wants(rows[1], Side::Stream));
        assert!(!five.wants(rows[1], Side::Read) && !five.wants(rows[1], Side::Serve));
        assert!(rows.iter().all(|row| five.rounds(row) <= FIVE));
    }

    #[test]
    fn rows_that_are_not_named_are_left_out() {
        let settings = Settings::parse(&["--only", "bulk-up"]).expect("it is known");
        let left: Vec<_> = ROWS.iter().filter(|row| settings.amount(row).is_some()).collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].id, "bulk-up");
    }
}
