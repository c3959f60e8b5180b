//! The table at the end.

use super::scene::Scene;

const WIDTHS: [usize; 5] = [2, 34, 30, 38, 7];
const HEADS: [&str; 5] =
    ["", "what the client did", "what it saw", "what the database holds", "verdict"];

/// Returns one row for each scene, and the failed checks below it.
pub(super) fn render(scenes: &[Scene]) -> String {
    let mut table = rule() + &row(&HEADS.map(str::to_owned)) + &rule();
    for (number, scene) in scenes.iter().enumerate() {
        let verdict = if scene.passed() { "PASS" } else { "FAIL" };
        table += &row(&[
            (number + 1).to_string(),
            scene.did.clone(),
            scene.saw.clone(),
            scene.holds.clone(),
            verdict.to_owned(),
        ]);
        for failure in scene.failures() {
            table.extend(["   !! expected: ", failure, "\n"]);
        }
        table += &rule();
    }
    table
}

fn rule() -> String {
    WIDTHS.map(|width| "-".repeat(width + 2)).join("+") + "\n"
}

fn row(cells: &[String; 5]) -> String {
    let mut columns = Vec::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        columns.push(wrap(cell, width));
    }
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut text = String::new();
    for line in 0..height {
        let mut cells = Vec::new();
        for (column, width) in columns.iter().zip(WIDTHS) {
            let cell = column.get(line).map_or("", String::as_str);
            cells.push(format!(" {cell:width$} "));
        }
        text += cells.join("|").trim_end();
        text.push('\n');
    }
    text
}

/// Breaks `text` between words. A word that is too long keeps its length.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            *line += " ";
            *line += word;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn wraps_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
    }
}
