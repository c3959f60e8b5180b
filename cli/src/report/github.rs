//! Workflow commands of GitHub Actions.

use super::findings;
use crate::handlers::Report;
use std::fmt::Write;

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    for finding in findings(report) {
        let level = if finding.is_warning { "warning" } else { "notice" };
        let _ = writeln!(
            text,
            "::{level} file={},line={},title={}::{}",
            property(&finding.file),
            finding.line,
            finding.rule,
            message(&finding.message)
        );
    }
    for note in &report.notes {
        let _ = writeln!(text, "::notice title=not read::{}", message(&note.to_string()));
    }
    text
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
