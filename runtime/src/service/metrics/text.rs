//! Writes the `OpenMetrics` text format, version 1.0.0.

use std::fmt::{Display, Write};

/// The media type of the format.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of all metrics.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins the metric `followthrough_<name>`.
    pub(super) fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE followthrough_{name} {kind}");
        if name.ends_with("_seconds") {
            let _ = writeln!(self.0, "# UNIT followthrough_{name} seconds");
        }
        let _ = writeln!(self.0, "# HELP followthrough_{name} {help}");
    }

    /// Writes one sample of `followthrough_<name>`.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "followthrough_{name}");
        for (n, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if n == 0 { '{' } else { ',' });
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// Ends the text.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn a_label_value_cannot_end_its_line_or_its_quotes() {
        let mut text = Text::default();
        text.sample("x", &[("handler", "a\"} 9\nb\\")], 1);
        assert_eq!(text.end(), "followthrough_x{handler=\"a\\\"} 9\\nb\\\\\"} 1\n# EOF\n");
    }
}
