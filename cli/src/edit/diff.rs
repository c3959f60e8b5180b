//! A unified diff of texts in which lines were only added or extended.

use super::Change;
use std::fmt::Write;

/// Lines around a change.
const CONTEXT: usize = 3;

/// A line of the diff: unchanged, removed or added.
enum Line<'a> {
    Same(&'a str),
    Removed(&'a str),
    Added(&'a str),
}

/// Returns the diff of all changes, as `git apply` and `patch -p1` read it.
pub(crate) fn diff(changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        let _ = write!(text, "--- a/{0}\n+++ b/{0}\n", change.shown);
        let lines = lines(&change.before, &change.after, &change.attributes);
        hunks(&lines, &mut text);
    }
    text
}

/// Pairs the lines of both texts. Each old line is still there, or has attributes of `added` inside.
fn lines<'a>(before: &'a str, after: &'a str, added: &[String]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut new = after.split_inclusive('\n');
    for old in before.split_inclusive('\n') {
        for line in new.by_ref() {
            if line == old {
                lines.push(Line::Same(old));
                break;
            }
            if added.iter().all(|attribute| attribute != line.trim()) {
                lines.push(Line::Removed(old));
                lines.push(Line::Added(line));
                break;
            }
            lines.push(Line::Added(line));
        }
    }
    lines.extend(new.map(Line::Added));
    lines
}

fn hunks(lines: &[Line<'_>], text: &mut String) {
    let changed: Vec<usize> =
        (0..lines.len()).filter(|index| !matches!(lines[*index], Line::Same(_))).collect();
    let mut next = 0;
    while let Some(&first) = changed.get(next) {
        let mut last = first;
        while let Some(&following) =
            changed.get(next).filter(|index| **index <= last + 2 * CONTEXT + 1)
        {
            last = following;
            next += 1;
        }
        hunk(lines, first.saturating_sub(CONTEXT), (last + CONTEXT + 1).min(lines.len()), text);
    }
}

fn hunk(lines: &[Line<'_>], from: usize, to: usize, text: &mut String) {
    let old = |line: &&Line<'_>| !matches!(line, Line::Added(_));
    let new = |line: &&Line<'_>| !matches!(line, Line::Removed(_));
    let (before, inside) = (&lines[..from], &lines[from..to]);
    let _ = writeln!(
        text,
        "@@ -{},{} +{},{} @@",
        before.iter().filter(old).count() + 1,
        inside.iter().filter(old).count(),
        before.iter().filter(new).count() + 1,
        inside.iter().filter(new).count(),
    );
    for line in inside {
        let (sign, line) = match line {
            Line::Same(line) => (' ', line),
            Line::Removed(line) => ('-', line),
            Line::Added(line) => ('+', line),
        };
        text.push(sign);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{hunks, lines};

    fn of(before: &str, after: &str) -> String {
        let mut text = String::new();
        let added = ["#", "#[x]"].map(str::to_owned);
        hunks(&lines(before, after, &added), &mut text);
        text
    }

    #[test]
    fn an_added_line() {
        assert_eq!(of("a\nb\nc\n", "a\n#[x]\nb\nc\n"), "@@ -1,3 +1,4 @@\n a\n+#[x]\n b\n c\n");
    }

    #[test]
    fn an_extended_line() {
        assert_eq!(
            of("fn b() {}\n", "#[x] fn b() {}\n"),
            "@@ -1,1 +1,1 @@\n-fn b() {}\n+#[x] fn b() {}\n"
        );
    }

    #[test]
    fn a_line_that_is_extended_twice() {
        assert_eq!(
            of("mod m { fn a() {} fn b() {} }\n", "mod m { #[x] fn a() {} #[x] fn b() {} }\n"),
            "@@ -1,1 +1,1 @@\n-mod m { fn a() {} fn b() {} }\n+mod m { #[x] fn a() {} #[x] fn b() {} }\n"
        );
    }

    #[test]
    fn distant_changes_have_hunks_of_their_own() {
        let before = (0..30).fold(String::new(), |text, line| format!("{text}{line}\n"));
        let after = before.replace("2\n3\n", "2\n#\n3\n").replace("25\n", "#\n25\n");
        let diff = of(&before, &after);
        assert_eq!(diff.matches("@@ -").count(), 2, "{diff}");
    }

    #[test]
    fn the_end_without_a_line_feed() {
        assert_eq!(of("a", "#\na"), "@@ -1,1 +1,2 @@\n+#\n a\n\\ No newline at end of file\n");
    }
}
