//! Bounds on the nesting of a file, checked before it is parsed.
//!
//! The parser and the visitors recurse with the nesting of the source. A file within these bounds fits their stack, so
//! a file of any content ends in a note instead of a stack overflow.

/// Brackets inside brackets.
const MAX_DEPTH: usize = 256;
/// Operators in one statement, such as the calls of a method chain.
const MAX_CHAIN: usize = 4_000;
/// Bytes of one file. A generated file of 100,000 lines has a tenth of it.
pub(crate) const MAX_BYTES: u64 = 32 << 20;

/// Returns why `text` is not parsed.
pub(crate) fn check(text: &str) -> Result<(), String> {
    Scanner { bytes: text.as_bytes(), at: 0, line: 1, chains: vec![0], after_brace: false }.run()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    /// The operators so far in the statement of each open bracket.
    chains: Vec<usize>,
    /// A `}` ends a statement unless an operator or `else` follows.
    after_brace: bool,
}

impl Scanner<'_> {
    fn run(mut self) -> Result<(), String> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b'/' if self.peek(1) == Some(b'/') => self.skip_until(|bytes| bytes[0] == b'\n'),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                b'"' => self.string(),
                b'r' if self.raw_string() => {}
                b'\'' => self.quote(),
                b'(' | b'[' | b'{' => self.open()?,
                b')' | b']' | b'}' => self.close(byte),
                b';' | b',' => self.end_of_statement(),
                _ if byte.is_ascii_punctuation() && byte != b'_' => self.operator()?,
                _ if byte.is_ascii_alphabetic() || byte == b'_' => self.word()?,
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Leaves `at` on the first byte where `end` holds, or at the end.
    fn skip_until(&mut self, end: impl Fn(&[u8]) -> bool) {
        while self.at < self.bytes.len() && !end(&self.bytes[self.at..]) {
            self.line += usize::from(self.bytes[self.at] == b'\n');
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut open = 1_usize;
        self.at += 2;
        while open > 0 && self.at < self.bytes.len() {
            match (self.bytes[self.at], self.peek(1)) {
                (b'/', Some(b'*')) => {
                    open += 1;
                    self.at += 1;
                }
                (b'*', Some(b'/')) => {
                    open -= 1;
                    self.at += 1;
                }
                (b'\n', _) => self.line += 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.line += usize::from(byte == b'\n');
            self.at += 1 + usize::from(byte == b'\\');
            if byte == b'"' {
                break;
            }
        }
    }

    /// Skips `r#".."#`, and returns false before any other word.
    fn raw_string(&mut self) -> bool {
        let hashes = self.bytes[self.at + 1..].iter().take_while(|byte| **byte == b'#').count();
        if self.peek(1 + hashes) != Some(b'"') {
            return false;
        }
        self.at += 2 + hashes;
        self.skip_until(|bytes| {
            bytes[0] == b'"'
                && bytes[1..].iter().take_while(|byte| **byte == b'#').count() >= hashes
        });
        self.at += 1 + hashes;
        true
    }

    /// Skips a character literal, or the quote of a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some(b'\\') {
            self.at += 3;
            self.skip_until(|bytes| bytes[0] == b'\'' || bytes[0] == b'\n');
            self.at += 1;
            return;
        }
        let length = match self.peek(1) {
            Some(0xf0..) => 4,
            Some(0xe0..) => 3,
            Some(0xc0..) => 2,
            _ => 1,
        };
        self.at += if self.peek(1 + length) == Some(b'\'') { 2 + length } else { 1 };
    }

    fn open(&mut self) -> Result<(), String> {
        self.fresh();
        if self.chains.len() > MAX_DEPTH {
            return Err(format!("line {}: nested more than {MAX_DEPTH} deep", self.line));
        }
        self.chains.push(0);
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, byte: u8) {
        if self.chains.len() > 1 {
            self.chains.pop();
        }
        self.after_brace = byte == b'}';
        self.at += 1;
    }

    fn end_of_statement(&mut self) {
        self.after_brace = false;
        self.set_chain(0);
        self.at += 1;
    }

    fn operator(&mut self) -> Result<(), String> {
        self.after_brace = false;
        self.at += 1;
        self.count()
    }

    fn word(&mut self) -> Result<(), String> {
        let start = self.at;
        while self.peek(0).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        if &self.bytes[start..self.at] == b"else" {
            self.after_brace = false;
            return self.count();
        }
        self.fresh();
        Ok(())
    }

    /// Begins a new statement if a `}` has ended the last one.
    fn fresh(&mut self) {
        if std::mem::take(&mut self.after_brace) {
            self.set_chain(0);
        }
    }

    fn set_chain(&mut self, length: usize) {
        if let Some(chain) = self.chains.last_mut() {
            *chain = length;
        }
    }

    fn count(&mut self) -> Result<(), String> {
        let Some(chain) = self.chains.last_mut() else { return Ok(()) };
        *chain += 1;
        if *chain > MAX_CHAIN {
            return Err(format!(
                "line {}: a statement of more than {MAX_CHAIN} operators",
                self.line
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn ordinary_code_passes() {
        let code = "fn a<'a>(x: &'a str) -> char { let _ = r#\"((((\"#; /* ( /* ( */ */ '(' }\n";
        assert_eq!(check(&code.repeat(20_000)), Ok(()));
    }

    #[test]
    fn deep_brackets_are_named_with_their_line() {
        let error = check(&format!("\n{}", "(".repeat(1_000))).expect_err("too deep");
        assert_eq!(error, "line 2: nested more than 256 deep");
    }

    #[test]
    fn long_chains_are_refused() {
        for code in ["!", "a+", ".b()", "else if x {}", "&", "Vec<"] {
            assert!(check(&code.repeat(10_000)).is_err(), "{code}");
        }
    }

    #[test]
    fn separate_statements_are_no_chain() {
        for code in ["if a == b {}\n", "fn f() -> u8 { 1 }\n", "a + b;\n", "a + b,"] {
            assert_eq!(check(&code.repeat(10_000)), Ok(()), "{code}");
        }
    }
}
