//! Recognises SQL in a string.

use super::Kind;

/// Returns the kind of the statement in `text`, and its first words.
pub(super) fn classify(text: &str) -> Option<(Kind, &'static str)> {
    // A bound, because a string may be a whole file. No statement has its verb later.
    let lower: String = text.chars().take(20_000).flat_map(char::to_lowercase).collect();
    let lower = lower
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ");
    let lower = lower.trim_start_matches(['(', ' ']);
    let starts = |words: &[&str]| words.iter().any(|word| lower.starts_with(word));
    if starts(&["with "]) {
        return with_clause(lower);
    }
    if starts(&["insert into ", "insert or ", "insert ignore ", "replace into ", "merge into "]) {
        return Some(insert(lower));
    }
    if starts(&["update "]) && lower.contains(" set ") {
        return Some((Kind::Write, "UPDATE"));
    }
    if starts(&["delete from ", "delete "]) && lower.contains("from ") {
        return Some((Kind::Write, "DELETE"));
    }
    if starts(&["truncate "]) {
        return Some((Kind::Write, "TRUNCATE"));
    }
    let defines = [
        "table ",
        "index ",
        "view ",
        "schema ",
        "database ",
        "type ",
        "unique ",
        "temp",
        "extension ",
    ];
    for (verb, shown) in [("create ", "CREATE"), ("drop ", "DROP"), ("alter ", "ALTER")] {
        if lower
            .strip_prefix(verb)
            .is_some_and(|rest| defines.iter().any(|word| rest.starts_with(word)))
        {
            return Some((Kind::Write, shown));
        }
    }
    if starts(&["refresh materialized "]) {
        return Some((Kind::Write, "REFRESH"));
    }
    if starts(&["copy "]) && lower.contains(" from stdin") {
        return Some((Kind::Write, "COPY"));
    }
    if calls_procedure(lower) {
        return Some((Kind::Write, "CALL"));
    }
    if starts(&["select "]) && (lower.contains("from ") || lower.len() < 40) {
        return Some((Kind::Read, "SELECT"));
    }
    None
}

/// Returns whether the statement is `CALL name(..)` or `EXEC name @a = 1`, and not a sentence such as "call us".
fn calls_procedure(lower: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|character| {
                character.is_alphanumeric()
                    || matches!(character, '_' | '.' | '"' | '[' | ']' | '`')
            })
    };
    if let Some((name, _)) = lower.strip_prefix("call ").and_then(|rest| rest.split_once('(')) {
        return is_name(name.trim());
    }
    let rest = lower.strip_prefix("exec ").or_else(|| lower.strip_prefix("execute "));
    let Some(rest) = rest else { return false };
    let (name, args) = rest.split_once([' ', '(']).unwrap_or((rest, ""));
    is_name(name)
        && match args.chars().next() {
            Some(first) => rest.contains('(') || "@$?:'".contains(first) || first.is_numeric(),
            None => name.contains(['_', '.', '[']),
        }
}

fn insert(lower: &str) -> (Kind, &'static str) {
    let set = ["update set ", "duplicate key update "]
        .iter()
        .find_map(|clause| lower.split_once(clause))
        .map_or("", |(_, set)| set);
    // `n = a.n + 1` has another effect each time.
    let accumulates = ["+", "-", "||", "now(", "current_timestamp", "nextval", "random(", "uuid"]
        .iter()
        .any(|word| set.contains(word));
    let is_upsert = lower.contains("on conflict") && lower.contains("do update")
        || lower.contains("on duplicate key update")
        || lower.starts_with("insert or replace")
        || lower.starts_with("replace into")
        || lower.starts_with("merge into");
    let is_upsert = is_upsert && !accumulates;
    if is_upsert { (Kind::Upsert, "upsert") } else { (Kind::Write, "INSERT") }
}

/// A statement with a `WITH` writes if any of its parts does.
fn with_clause(lower: &str) -> Option<(Kind, &'static str)> {
    if lower.contains("insert into ") {
        Some((Kind::Write, "INSERT"))
    } else if lower.contains("delete from ") {
        Some((Kind::Write, "DELETE"))
    } else if lower.contains("update ") && lower.contains(" set ") {
        Some((Kind::Write, "UPDATE"))
    } else if lower.contains("select ") {
        Some((Kind::Read, "SELECT"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, classify};

    fn kind(text: &str) -> Option<Kind> {
        classify(text).map(|(kind, _)| kind)
    }

    #[test]
    fn statements_that_write() {
        for text in [
            "INSERT INTO a VALUES ($1)",
            "\n  -- why\n  update a\n  set b = 1",
            "delete from a where b = $1",
            "WITH x AS (SELECT 1) INSERT INTO a SELECT * FROM x",
            "WITH gone AS (DELETE FROM a RETURNING *) SELECT * FROM gone",
            "TRUNCATE a",
            "CREATE TABLE a (b int)",
            "CALL x()",
            "call billing.charge($1, $2)",
            "EXEC dbo.charge @id = 1",
            "execute charge($1)",
        ] {
            assert_eq!(kind(text), Some(Kind::Write), "{text}");
        }
    }

    #[test]
    fn statements_that_may_be_repeated() {
        assert_eq!(
            kind("INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET b = 1"),
            Some(Kind::Upsert)
        );
        for set in
            ["n = a.n + 1", "n = a.n - 1", "t = a.t || 'x'", "at = now()", "id = nextval('s')"]
        {
            let text = format!("INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET {set}");
            assert_eq!(kind(&text), Some(Kind::Write), "{set}");
            let text = format!("INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE {set}");
            assert_eq!(kind(&text), Some(Kind::Write), "{set}");
        }
        assert_eq!(kind("INSERT OR REPLACE INTO a VALUES (1)"), Some(Kind::Upsert));
    }

    #[test]
    fn statements_that_read() {
        assert_eq!(kind("SELECT a FROM b FOR UPDATE"), Some(Kind::Read));
        assert_eq!(kind("with x as (select 1) select * from x"), Some(Kind::Read));
    }

    #[test]
    fn prose_is_no_statement() {
        for text in [
            "Update your profile",
            "delete the user",
            "Select a file",
            "create account",
            "",
            "Call us now",
            "Execute the plan",
        ] {
            let kind = kind(text);
            assert!(kind.is_none() || kind == Some(Kind::Read), "{text}");
        }
    }
}
