//! A file with a table for each kind of campaign.

/// The first word of each table.
const HEAD: &str = "Each cell: ";

/// Returns `file` with `table` in the place of the one with the same first line, or at the end.
pub(crate) fn with_table(file: &str, table: &str) -> String {
    let mut tables: Vec<String> = Vec::new();
    for line in file.lines() {
        if line.starts_with(HEAD) || tables.is_empty() {
            tables.push(String::new());
        }
        if let Some(last) = tables.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    match tables.iter_mut().find(|other| other.lines().next() == table.lines().next()) {
        Some(other) => table.clone_into(other),
        None => tables.push(table.to_owned()),
    }
    let tables: Vec<_> = tables.iter().map(|table| table.trim_end()).collect();
    tables.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_the_one_of_its_kind() {
        let both = with_table("Each cell: a.\n\n1\n", "Each cell: b.\n\n2\n");
        assert_eq!(both, "Each cell: a.\n\n1\n\nEach cell: b.\n\n2\n");
        assert_eq!(
            with_table(&both, "Each cell: a.\n\n3\n"),
            "Each cell: a.\n\n3\n\nEach cell: b.\n\n2\n"
        );
        assert_eq!(with_table("", "Each cell: a.\n\n1\n"), "Each cell: a.\n\n1\n");
    }
}
