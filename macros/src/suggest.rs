//! Suggestions of the nearest expected word ("did you mean").

/// Returns the end of the error message about an unknown word: the suggestion and the expected words.
///
/// Input: `raed` of `["read", "stream"]`.
/// Output: ``did you mean `read`? expected `read` or `stream` ``.
pub(crate) fn expected(word: &str, candidates: &[&str]) -> String {
    let list = list(candidates);
    match nearest(word, candidates) {
        Some(near) => format!("did you mean `{near}`? expected {list}"),
        None => format!("expected {list}"),
    }
}

/// Lists `words` in backticks: `a`, `b` or `c`.
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// Returns the candidate nearest to `word`, if at most two fifths of it are mistyped.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // This distance counts a swap of two neighbours (`raed`) as one mistake.
    let distance = |candidate: &&'a str| (strsim::osa_distance(word, candidate), *candidate);
    let (distance, near) = candidates.iter().map(distance).min()?;
    (distance * 5 <= near.len() * 2).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_others_are_not() {
        let modes = ["read", "stream", "idempotent_write", "reversible_write"];
        assert_eq!(nearest("raed", &modes), Some("read"));
        assert_eq!(nearest("streem", &modes), Some("stream"));
        assert_eq!(nearest("idempotent", &modes), Some("idempotent_write"));
        assert_eq!(nearest("banana", &modes), None);
        assert_eq!(nearest("reed", &["keep"]), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn lists_read_as_english() {
        assert_eq!(list(&["a"]), "`a`");
        assert_eq!(list(&["a", "b"]), "`a` or `b`");
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(expected("raed", &["read"]), "did you mean `read`? expected `read`");
    }
}
