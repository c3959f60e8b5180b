//! A scene: the action, its result, and the verdict.

use std::error::Error;

/// A row of the table, with the checks behind its verdict.
pub(super) struct Scene {
    pub(super) did: String,
    pub(super) saw: String,
    pub(super) holds: String,
    checks: Vec<(String, bool)>,
}

impl Scene {
    /// Begins a scene and says so.
    pub(super) fn begin(did: &str) -> Self {
        println!("\n* {did}");
        Self { did: did.to_owned(), saw: String::new(), holds: String::new(), checks: Vec::new() }
    }

    /// Returns a scene that could not be played to its end.
    #[expect(clippy::needless_pass_by_value, reason = "the shape that `unwrap_or_else` asks for")]
    pub(super) fn broken(error: Box<dyn Error>) -> Self {
        let mut scene = Self::begin("(broke off)");
        scene.check(format!("no error, and there was: {error}"), false);
        scene
    }

    pub(super) fn saw(&mut self, saw: impl Into<String>) {
        self.saw = saw.into();
    }

    pub(super) fn holds(&mut self, holds: impl Into<String>) {
        self.holds = holds.into();
    }

    /// Adds one check.
    pub(super) fn check(&mut self, expected: impl Into<String>, so: bool) {
        self.checks.push((expected.into(), so));
    }

    pub(super) fn check_eq<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        is: &T,
        expected: &T,
    ) {
        self.check(format!("{what} to be {expected:?}, and it is {is:?}"), is == expected);
    }

    /// Returns whether there were checks and all of them held.
    pub(super) fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|(_, so)| *so)
    }

    pub(super) fn failures(&self) -> impl Iterator<Item = &str> {
        self.checks.iter().filter(|(_, so)| !so).map(|(expected, _)| expected.as_str())
    }
}
