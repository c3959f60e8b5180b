//! Text in a log line that may come from a client.

use std::fmt::{self, Display, Write};

/// Displays a value with its control characters escaped, so that text from a client cannot begin a log line or move
/// the cursor of a terminal. The separators of lines and the characters that change the direction of text
/// are escaped as well.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<T>(pub T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(is_escaped) {
            let last = piece.chars().next_back().filter(|last| is_escaped(*last));
            self.0.write_str(&piece[..piece.len() - last.map_or(0, char::len_utf8)])?;
            last.map_or(Ok(()), |last| write!(self.0, "{}", last.escape_default()))?;
        }
        Ok(())
    }
}

fn is_escaped(c: char) -> bool {
    let separates_lines = matches!(c, '\u{2028}' | '\u{2029}');
    let turns_text = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || separates_lines || turns_text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_other_text_is_not() {
        let text = "a\nb\r\u{1b}[31mred\t\0\u{85}\u{2028}\u{202e} é \"quoted\" \\n";
        let escaped = r#"a\nb\r\u{1b}[31mred\t\u{0}\u{85}\u{2028}\u{202e} é "quoted" \n"#;
        assert_eq!(Escaped(text).to_string(), escaped);
        assert_eq!(Escaped("").to_string(), "");
        assert_eq!(Escaped(format_args!("{}{}", "\n", 1)).to_string(), "\\n1");
    }
}
